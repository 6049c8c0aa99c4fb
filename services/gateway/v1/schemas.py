"""What the chat application API takes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from services.gateway.fields import DEFAULT_USER, OfUser, OptionalId, Query, SharedUserId

LONGEST_SEQ = 2**53
"""Beyond it a JSON reader may round."""


class UserIn(OfUser):
    """Who asks; required."""

    @model_validator(mode="before")
    @classmethod
    def _user_is_given(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("user") in (None, ""):
            raise ValueError("Arg user must be provided.")
        return fields


class ChatMessageIn(UserIn):
    """The body of `POST /v1/chat-messages`."""

    query: Query
    inputs: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=dict[str, Any]
    )
    response_mode: Literal["streaming", "blocking"] = "blocking"
    conversation_id: OptionalId = None


class EventsIn(OfUser):
    """The query of `GET /v1/chat-messages/{task_id}/events`; `after` is the `seq` of the last event received."""

    user: SharedUserId = DEFAULT_USER
    after: Annotated[int, Field(ge=0, le=LONGEST_SEQ)] = 0
