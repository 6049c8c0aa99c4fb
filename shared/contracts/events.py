"""What a run says: the events that a worker sends and the gateways relay.

An event's place is `(attempt, seq)`: the attempt of the run that said it, and its number in the run, from 1. Both
stand before the event's JSON on the wire, so that a relay can order events without decoding them. The same place is
the entry's id in the run's Redis stream: Redis itself refuses what an older attempt, or a second sending, would add.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, NamedTuple

import orjson

from shared.domain.errors import ErrorCode
from shared.domain.runs import RunState


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, to be joined to those before it."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another text stands in place of all that was said; `reason` tells why, in a word."""

    text: str
    reason: str
    kind: Literal["replaced"] = "replaced"


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost. Prices are decimal strings for the unit that `price_unit` tells, times are seconds."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_unit_price: str = "0"
    completion_unit_price: str = "0"
    price_unit: str = "0.001"
    currency: str = "USD"
    latency: float = 0.0
    time_to_first_token: float = 0.0
    time_to_generate: float = 0.0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole, or was stopped; `usage` is what was paid."""

    usage: Usage
    reason: Literal["complete", "stopped"] = "complete"
    kind: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended in an error; what it said before is kept. `code` is a `shared.domain.errors.ErrorCode`."""

    code: str
    message: str
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing comes after this."""

    kind: Literal["closed"] = "closed"


Event = Text | Replaced | Finished | Failed | Closed


def last_event(state: RunState, usage: Usage, error_code: str | None, error: str | None) -> Finished | Failed:
    """What a run in a final state says last."""
    if state is RunState.FAILED:
        return Failed(error_code or ErrorCode.INTERNAL, error or "The run failed.")
    return Finished(usage, "stopped" if state is RunState.STOPPED else "complete")


class Place(NamedTuple):
    """Where an event stands in its run."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        """As a Redis stream writes it."""
        return f"{self.attempt}-{self.seq}"

    @classmethod
    def parse(cls, text: bytes) -> "Place":
        """The place that `str` wrote."""
        attempt, _, seq = text.partition(b"-")
        return cls(int(attempt), int(seq))


START = Place(0, 0)
"""Before the first event of any run."""


def encode(event: Event) -> bytes:
    """The event's JSON."""
    return orjson.dumps(event)


def decode(payload: bytes) -> Event | None:
    """The event of a JSON text that `encode` wrote; None for a kind that only a newer version knows.

    Fields that only a newer version knows are left out.
    """
    fields: dict[str, Any] = orjson.loads(payload)
    match fields["kind"]:
        case "text":
            return Text(fields["text"])
        case "replaced":
            return Replaced(fields["text"], fields["reason"])
        case "finished":
            return Finished(read_usage(fields["usage"]), fields["reason"])
        case "failed":
            return Failed(fields["code"], fields["message"])
        case "closed":
            return Closed()
        case _:
            return None


_USAGE_FIELDS = {field.name for field in dataclass_fields(Usage)}


def read_usage(stored: Mapping[str, Any]) -> Usage:
    """Usage from JSON; fields that only a newer version knows are left out."""
    return Usage(**{name: value for name, value in stored.items() if name in _USAGE_FIELDS})


def pack(place: Place, event: bytes) -> bytes:
    """The message that is published: the place, a space, the event's JSON."""
    return b"%d-%d %s" % (place.attempt, place.seq, event)


def unpack(message: bytes) -> tuple[Place, bytes]:
    """What `pack` joined."""
    place, _, event = message.partition(b" ")
    return Place.parse(place), event
