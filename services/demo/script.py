"""Answers that a test has queued for the next calls (`POST /_script`)."""

from collections import deque
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from services.demo.faults import Faults, ToolCall, is_demo_model, parse_model

MOST_QUEUED = 10_000


class ScriptedCall(BaseModel):
    """A tool call; `arguments` as an object, or as a string that is sent as it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: str | dict[str, Any] = Field(default_factory=dict[str, Any])

    def tool_call(self) -> ToolCall:
        """The same as the answers hold it."""
        arguments = self.arguments
        return ToolCall(self.name, arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode())


class ScriptedUsage(BaseModel):
    """Token counts to claim instead of the true ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ScriptItem(BaseModel):
    """One answer. It stands in for all that the model's name says: faults are only those written here.

    With a status the call is refused with it, and `error` is the message or the vendor's error object. An error without
    a status comes in mid-stream, after the text. With neither text nor tool calls the faults make the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    text: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    faults: str = "demo"
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    error: str | dict[str, Any] | None = None
    usage: ScriptedUsage = ScriptedUsage()

    @field_validator("faults")
    @classmethod
    def _faults_are_readable(cls, value: str) -> str:
        parse_model(value)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set - {"model"}:
            raise ValueError("an item needs at least one of: text, tool_calls, faults, status, error, usage")
        return self

    def parsed_faults(self) -> Faults:
        """What shall go wrong."""
        return parse_model(self.faults)

    def answers(self, model: str) -> bool:
        """Whether this item is for a call of `model`: the one it names, or else any of the demo's."""
        return is_demo_model(model) if self.model is None else self.model == model


_ITEMS = TypeAdapter(list[ScriptItem])


class Script:
    """The queue of answers."""

    def __init__(self) -> None:
        self._items: deque[ScriptItem] = deque()

    def extend(self, raw: bytes) -> int:
        """Queue a JSON list of items; returns how many now wait.

        Raises:
            ValueError: an item is not readable, or there are too many.
        """
        items = _ITEMS.validate_json(raw)
        if len(self._items) + len(items) > MOST_QUEUED:
            raise ValueError(f"At most {MOST_QUEUED} answers can wait; {len(self._items)} do already.")
        self._items.extend(items)
        return len(self._items)

    def take(self, model: str) -> ScriptItem | None:
        """The first item that answers `model`, which leaves the queue."""
        for index, item in enumerate(self._items):
            if item.answers(model):
                del self._items[index]
                return item
        return None

    def clear(self) -> None:
        """Drop what nobody asked for."""
        self._items.clear()
