"""What the chat application API takes."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.domain.errors import HeliconError

LONGEST_USER = 255
LONGEST_SEQ = 2**53
"""Beyond it a JSON reader may round."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    return text


def _dropped_nuls(text: str) -> str:
    text = text.replace("\0", "")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _absent(value: object) -> object:
    return None if value == "" else value


UserId = Annotated[str, Field(max_length=LONGEST_USER), AfterValidator(_no_nul)]
OptionalId = Annotated[UUID | None, BeforeValidator(_absent)]


class UserIn(BaseModel):
    """Who asks; required."""

    model_config = ConfigDict(frozen=True)

    user: UserId

    @model_validator(mode="before")
    @classmethod
    def _user_is_given(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("user") in (None, ""):
            raise HeliconError.invalid("Arg user must be provided.")
        return fields


class ChatMessageIn(UserIn):
    """The body of `POST /v1/chat-messages`."""

    query: Annotated[str, AfterValidator(_dropped_nuls)]
    inputs: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = {}
    response_mode: Literal["streaming", "blocking"] = "blocking"
    conversation_id: OptionalId = None


class EventsIn(UserIn):
    """The query of `GET /v1/chat-messages/{task_id}/events`; `after` is the `seq` of the last event received."""

    after: Annotated[int, Field(ge=0, le=LONGEST_SEQ)] = 0
