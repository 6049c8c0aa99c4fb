"""The WebSocket's messages: JSON objects, one a frame."""

from dataclasses import dataclass
from typing import Any, cast

import orjson
from pydantic import BaseModel, ConfigDict

from services.gateway.fields import ChatFields, Name, OfUser, Query, Seq, UserId
from services.gateway.streaming.errors import error_fields
from shared.domain.errors import HeliconError
from shared.store.apps import DEFAULT_APP

LONGEST_ID = 256
"""Bytes of an `id` as JSON: it stands in every frame of its run."""
NO_ID = b"null"


@dataclass(frozen=True, slots=True)
class Message:
    """What a client sent: its `type`, its `id` as JSON, and all its fields."""

    type: str
    id: bytes
    fields: dict[str, Any]


class AuthIn(OfUser):
    """Who is there; `app_id` is an app's name, for administrators."""

    key: str
    app_id: Name = DEFAULT_APP


class ChatIn(ChatFields):
    """A chat. Its user may be named again; it is streamed whatever the mode."""

    user: UserId | None = None


class CommunicateIn(BaseModel):
    """A prompt of `/communicate`."""

    model_config = ConfigDict(frozen=True)

    prompt: Query
    file: Any = None


class TaskIn(BaseModel):
    """A run."""

    model_config = ConfigDict(frozen=True)

    task_id: str


class ResumeIn(TaskIn):
    """A run to be heard again; `after` is the `seq` of the last event received."""

    after: Seq = 0


def parse_message(text: bytes | None) -> Message:
    """Read a frame; None is a binary one.

    Raises:
        HeliconError: INVALID_PARAM, it is no JSON object with a `type`.
    """
    if text is None:
        raise HeliconError.invalid("A binary frame: send JSON objects in text frames.")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise HeliconError.invalid(f"The frame is no JSON: {error.msg} at {error.pos}.") from error
    if not isinstance(value, dict):
        raise HeliconError.invalid("The frame must be a JSON object.")
    fields = cast("dict[str, Any]", value)
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise HeliconError.invalid("type: must be a string")
    return Message(kind, _id(fields), fields)


def _id(fields: dict[str, Any]) -> bytes:
    written = orjson.dumps(fields.get("id"))
    if len(written) > LONGEST_ID:
        raise HeliconError.invalid(f"id: must have at most {LONGEST_ID} bytes as JSON")
    return written


def event_head(message_id: bytes) -> bytes:
    """What every event of a run begins with."""
    return b'{"type":"event","id":%b,"seq":' % message_id


def event_text(head: bytes, seq: int, frame: bytes) -> bytes:
    """An event: its number and the frame of the chat application API."""
    return b'%b%d,"data":%b}' % (head, seq, frame)


def error_text(message_id: bytes, error: HeliconError) -> bytes:
    """A failure."""
    fields = error_fields(error.code, error.message)
    return orjson.dumps({"type": "error", "id": orjson.Fragment(message_id), **fields})


def ready_text(app: str) -> bytes:
    """The answer to `auth`."""
    return orjson.dumps({"type": "ready", "app": app})


def ok_text(message_id: bytes) -> bytes:
    """The answer to `stop`, and to `resume` where there is nothing more to hear."""
    return b'{"type":"ok","id":%b}' % message_id


PONG = b'{"type":"pong"}'
