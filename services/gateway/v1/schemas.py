"""What the chat application API takes."""

from typing import Any

from pydantic import model_validator

from services.gateway.fields import DEFAULT_USER, ChatFields, OfUser, Seq, SharedUserId


class UserIn(OfUser):
    """Who asks; required."""

    @model_validator(mode="before")
    @classmethod
    def _user_is_given(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fields.get("user") in (None, ""):
            raise ValueError("Arg user must be provided.")
        return fields


class ChatMessageIn(ChatFields, UserIn):
    """The body of `POST /v1/chat-messages`."""


class EventsIn(OfUser):
    """The query of `GET /v1/chat-messages/{task_id}/events`; `after` is the `seq` of the last event received."""

    user: SharedUserId = DEFAULT_USER
    after: Seq = 0
