"""What the demo upstream was asked and how each call ended: the list behind `GET /_requests`, kept in memory."""

import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from services.demo import tokens

MOST_CALLS = 10_000
MOST_BYTES = 256 * 1024 * 1024

_SHORT_KEY = 8


@dataclass(slots=True)
class AskedCall:
    """One call. `pieces` is what the answer shall say, `given` how many of them were handed to the connection."""

    id: int
    protocol: str
    path: str
    key: str
    body: bytes
    time: float = field(default_factory=time.time)
    model: str | None = None
    status: int | None = None
    prompt_tokens: int = 0
    pieces: Sequence[str] = ()
    given: int = 0
    finished: bool = False
    closed_by: Literal["client", "server"] | None = None
    closed_at: float | None = None
    _tokens_in_all: int = 0

    def end(self, by: Literal["client", "server"], *, finished: bool = False) -> None:
        """Note who ended the exchange, and whether the whole answer was sent; the answer itself is dropped."""
        self.closed_by, self.finished, self.closed_at = by, finished, time.time()
        self._tokens_in_all = self.tokens_sent
        self.pieces = ()

    @property
    def tokens_sent(self) -> int:
        """How many tokens were handed to the connection until now."""
        if not self.pieces:
            return self._tokens_in_all
        return tokens.count("".join(self.pieces[: self.given]))

    def row(self) -> dict[str, Any]:
        """The call as `GET /_requests` shows it."""
        return {
            "id": self.id,
            "time": self.time,
            "protocol": self.protocol,
            "path": self.path,
            "model": self.model,
            "key": mask(self.key),
            "body": _readable(self.body),
            "status": self.status,
            "tokens_sent": self.tokens_sent,
            "prompt_tokens": self.prompt_tokens,
            "finished": self.finished,
            "closed_by": self.closed_by,
            "closed_at": self.closed_at,
        }


class AskedCalls:
    """The calls in order; the oldest are dropped above 10,000 calls or 256 MB of bodies."""

    def __init__(self, most_calls: int = MOST_CALLS, most_bytes: int = MOST_BYTES) -> None:
        self._most_calls = most_calls
        self._most_bytes = most_bytes
        self._calls: deque[AskedCall] = deque()
        self._bytes = 0
        self._ids = itertools.count(1)

    def add(self, protocol: str, path: str, key: str, body: bytes) -> AskedCall:
        """Note a new call."""
        call = AskedCall(next(self._ids), protocol, path, key, body)
        self._calls.append(call)
        self._bytes += len(body)
        while len(self._calls) > self._most_calls or (self._bytes > self._most_bytes and len(self._calls) > 1):
            self._bytes -= len(self._calls.popleft().body)
        return call

    def rows(self) -> list[dict[str, Any]]:
        """All calls that are kept, the oldest first."""
        return [call.row() for call in self._calls]

    def clear(self) -> None:
        """Forget all calls; those that still run go on unseen."""
        self._calls.clear()
        self._bytes = 0


def mask(key: str) -> str | None:
    """A key that can be told from others but not used: its ends, or its first character if it is short."""
    if not key:
        return None
    return f"{key[:3]}***{key[-4:]}" if len(key) > _SHORT_KEY else f"{key[0]}***"


def _readable(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
