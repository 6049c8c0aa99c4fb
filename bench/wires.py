"""The two protocols that answers come in: how a question is sent, and whether what came is the whole answer."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bench.connection import Address
from services.demo.tokens import words

QUESTION = "How much does a hop cost?"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the demo upstream is to say: so many tokens, so many ms apart (0: as fast as it can)."""

    tokens: int
    pause_ms: int = 0

    @property
    def model(self) -> str:
        """The model's name that asks for it."""
        return f"demo-slow:{self.pause_ms}+demo-tokens:{self.tokens}" if self.pause_ms else f"demo-tokens:{self.tokens}"

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(words(self.tokens))

    @property
    def seconds(self) -> float:
        """How long it takes at least."""
        return (self.tokens - 1) * self.pause_ms / 1000


class BrokenAnswerError(Exception):
    """An answer that is not the one that the demo upstream gave."""


class Wire(ABC):
    """A protocol."""

    first_text: re.Pattern[bytes]
    path: str

    @abstractmethod
    def question(self, answer: Answer, lane: int) -> dict[str, Any]:
        """The request's JSON; `lane` is which of the simultaneous clients asks."""

    @abstractmethod
    def check(self, body: bytes, answer: Answer) -> int:
        """The number of events, if it is the whole answer with its end.

        Raises:
            BrokenAnswerError: it is not.
        """

    def request(self, address: Address, headers: Mapping[str, str], question: Mapping[str, Any]) -> bytes:
        """The request's bytes."""
        body = orjson.dumps(question)
        fields = {"Host": f"{address.host}:{address.port}", "Content-Type": "application/json", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class OpenAI(Wire):
    """Chat completions, as the demo upstream and the peers speak them."""

    first_text = re.compile(rb'"content": ?"[^"]')
    path = "/v1/chat/completions"

    def question(self, answer: Answer, lane: int) -> dict[str, Any]:  # noqa: ARG002 - this protocol has no users
        """A question that asks for the usage too, as Helicon does."""
        return {
            "model": answer.model,
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def check(self, body: bytes, answer: Answer) -> int:
        """Texts joined, one `finish_reason`, `[DONE]` last."""
        *frames, last = _frames(body)
        if last != b"[DONE]":
            raise BrokenAnswerError(f"ends with {last[:200]!r}")
        documents = [orjson.loads(frame) for frame in frames]
        choices = [choice for document in documents for choice in document["choices"]]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        if text != answer.text or ends != ["stop"]:
            raise BrokenAnswerError(f"{len(text)} of {len(answer.text)} characters, ends {ends}")
        return len(documents)


class HeliconV1(Wire):
    """`/v1/chat-messages`."""

    first_text = re.compile(rb'"answer":"[^"]')
    path = "/v1/chat-messages"

    def question(self, answer: Answer, lane: int) -> dict[str, Any]:  # noqa: ARG002 - the app's model gives it
        """A new conversation of the lane's user."""
        return {"query": QUESTION, "user": f"bench-{lane}", "response_mode": "streaming"}

    def check(self, body: bytes, answer: Answer) -> int:
        """Texts joined, `message_end` last and once, and the right number of tokens paid."""
        documents = [orjson.loads(frame) for frame in _frames(body)]
        last = documents[-1]
        if last["event"] != "message_end":
            raise BrokenAnswerError(f"ends with {last}")
        if any(document["event"] != "message" for document in documents[:-1]):
            raise BrokenAnswerError("an event that is no message")
        text = "".join(document["answer"] for document in documents[:-1])
        paid = last["metadata"]["usage"]["completion_tokens"]
        if text != answer.text or paid != answer.tokens:
            raise BrokenAnswerError(f"{len(text)} of {len(answer.text)} characters, {paid} tokens")
        return len(documents)


def _frames(body: bytes) -> Iterable[bytes]:
    """The data of a stream's frames, pings left out.

    Raises:
        BrokenAnswerError: it does not end with a frame's end, or holds none.
    """
    if not body.endswith(b"\n\n"):
        raise BrokenAnswerError(f"ends with {body[-200:]!r}")
    frames = [block[6:] for block in body[:-2].split(b"\n\n") if block.startswith(b"data: ")]
    if not frames:
        raise BrokenAnswerError(f"no frame in {body[:200]!r}")
    return frames
