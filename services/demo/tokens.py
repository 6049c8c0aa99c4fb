"""Counting and splitting text in tokens of o200k. The vocabulary (60 MB) is loaded at the first call."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Protocol

_SENTENCE = (
    "amber river stone cloud maple light ocean paper garden silver winter bridge candle forest meadow harbor "
    "window copper valley summer orange violin marble island pepper quiet butter mirror planet shadow rocket "
    "basket cotton desert engine feather ginger hammer jacket kettle ladder magnet needle"
)
WORDS = tuple(f" {word}" for word in _SENTENCE.split())
"""Each is one token with its leading space, also in a row (tests/unit/demo counts them)."""

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3


class _Tokenizer(Protocol):
    def count(self, text: str, /) -> int: ...
    def encode(self, text: str, /) -> list[int]: ...
    def decode(self, tokens: list[int], /) -> str | None: ...


@cache
def _o200k() -> _Tokenizer:
    return import_module("rs_bpe.bpe").openai.o200k_base()


def count(text: str) -> int:
    """How many tokens `text` has."""
    return _o200k().count(text)


def count_prompt(messages: Iterable[tuple[str, str]]) -> int:
    """How many tokens a prompt of (role, content) has, by the rule of OpenAI's cookbook.

    Source: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
    """
    each = (TOKENS_PER_MESSAGE + count(role) + count(content) for role, content in messages)
    return sum(each) + TOKENS_PER_REPLY


def words(number: int) -> tuple[str, ...]:
    """That many pieces of text, each one token."""
    return (WORDS * (number // len(WORDS) + 1))[:number]


def split(text: str) -> tuple[str, ...]:
    """The tokens of `text` as pieces of it; tokens that are part of one character stay together."""
    tokenizer = _o200k()
    pieces: list[str] = []
    pending: list[int] = []
    for token in tokenizer.encode(text):
        pending.append(token)
        piece = tokenizer.decode(pending)
        if piece is not None:
            pieces.append(piece)
            pending.clear()
    return tuple(pieces)


def shorten(text: str, limit: int) -> str:
    """The first `limit` tokens of `text`, without a last character that they hold only in part."""
    tokenizer = _o200k()
    kept = tokenizer.encode(text)[:limit]
    while (short := tokenizer.decode(kept)) is None:
        kept.pop()
    return short
