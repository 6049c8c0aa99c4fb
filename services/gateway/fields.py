"""Types of fields that more than one request has."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

LONGEST_USER = 255
LONGEST_SEQ = 2**53
"""Beyond it a JSON reader may round."""


def _without_nuls(text: str) -> str:
    return text.replace("\0", "")


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _absent(value: object) -> object:
    return None if value == "" else value


UserId = Annotated[str, Field(min_length=1, max_length=LONGEST_USER), AfterValidator(_no_nul)]
"""An end user, as the client's developer calls it."""

DEFAULT_USER = "DEFAULT-USER"
SharedUserId = Annotated[UserId, BeforeValidator(lambda value: DEFAULT_USER if value in (None, "") else value)]
"""An end user, or the shared one where nobody is named."""

Name = Annotated[str, AfterValidator(_no_nul)]
"""What something is called."""

FreeText = Annotated[str, AfterValidator(_without_nuls)]
"""What a person wrote. NUL characters, which Postgres can't keep, are dropped."""

Query = Annotated[FreeText, AfterValidator(_not_blank)]
"""A question."""

OptionalId = Annotated[UUID | None, BeforeValidator(_absent)]
"""An id, or null, "" or nothing, which all mean the same."""

Seq = Annotated[int, Field(ge=0, le=LONGEST_SEQ)]
"""The number of an event; 0 is before the first."""


def parse_id(text: str) -> UUID | None:
    """The id that a client names; None for what is none, which is answered like one that nobody has."""
    try:
        return UUID(text)
    except ValueError:
        return None


class OfUser(BaseModel):
    """What a user asks."""

    model_config = ConfigDict(frozen=True)

    user: UserId


class ChatFields(BaseModel):
    """What a chat is asked with, beside its user."""

    model_config = ConfigDict(frozen=True)

    query: Query
    inputs: Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)] = Field(
        default_factory=dict[str, Any]
    )
    response_mode: Literal["streaming", "blocking"] = "blocking"
    conversation_id: OptionalId = None
