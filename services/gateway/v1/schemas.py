"""What the chat application API takes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.gateway.fields import DEFAULT_USER, OptionalId, Query, SharedUserId, UserId

LONGEST_SEQ = 2**53
"""Beyond it a JSON reader may round."""


class UserIn(BaseModel):
    """Who asks; required."""

    model_config = ConfigDict(frozen=True)

    user: UserId

    @model_validator(mode="before")
    @classmethod
    def _user_is_given(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("user") in (None, ""):
            raise ValueError("Arg user must be provided.")
        return fields


class ChatMessageIn(UserIn):
    """The body of `POST /v1/chat-messages`."""

    query: Query
    inputs: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = {}
    response_mode: Literal["streaming", "blocking"] = "blocking"
    conversation_id: OptionalId = None


class EventsIn(BaseModel):
    """The query of `GET /v1/chat-messages/{task_id}/events`; `after` is the `seq` of the last event received."""

    model_config = ConfigDict(frozen=True)

    user: SharedUserId = DEFAULT_USER
    after: Annotated[int, Field(ge=0, le=LONGEST_SEQ)] = 0
