"""What the demo upstream was asked and what it sent, by the question."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from services.demo import tokens
from services.demo.answers import compose
from services.demo.faults import parse_model
from services.demo.openai_chat import OPENAI_CHAT


@dataclass(frozen=True)
class Call:
    """A call. `whole`: what it would have sent; `sent`: the part of it that it did send, `tokens_sent` of them."""

    whole: str
    sent: str
    tokens_sent: int
    prompt_tokens: int
    finished: bool
    open: bool


def calls_by_question(demo_url: str) -> dict[str, list[Call]]:
    """All calls since the demo upstream began, in order."""
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for row in httpx.get(f"{demo_url}/_requests", timeout=60).json():
        if row["path"] == "/v1/chat/completions":  # workers ask for the models as well
            calls[row["body"]["messages"][-1]["content"]].append(_call(row))
    return calls


def _call(row: dict[str, Any]) -> Call:
    question = OPENAI_CHAT.read(orjson.dumps(row["body"]))
    whole = "".join(compose(question, parse_model(question.model)).text)
    sent = whole if row["finished"] else tokens.shorten(whole, row["tokens_sent"])
    return Call(whole, sent, row["tokens_sent"], row["prompt_tokens"], row["finished"], row["closed_by"] is None)
