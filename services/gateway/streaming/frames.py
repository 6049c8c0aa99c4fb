"""Events as JSON objects of the chat application API: the one vocabulary of both surfaces and of the WebSocket."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from services.gateway.streaming.errors import error_fields
from services.gateway.streaming.runstream import RunIds
from shared.contracts.events import Closed, Event, Failed, Finished, Replaced, Text, Usage
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.ledger import price_of


class Frames:
    """Writes the frames of one run.

    Text is the hot path: everything of its frame but the text itself is made once.

    Args:
        ids: of the run.
    """

    def __init__(self, ids: RunIds) -> None:
        self._ids = ids
        self._text_head = orjson.dumps({**self._common("message"), "id": str(ids.message)})[:-1] + b',"answer":'

    def write(self, event: Event) -> bytes | None:
        """The event's frame, JSON; None where it has none."""
        match event:
            case Text():
                return self._text_head + orjson.dumps(event.text) + b"}"
            case Replaced(text, reason):
                return orjson.dumps({**self._common("message_replace"), "answer": text, "reason": reason})
            case Finished():
                return orjson.dumps(
                    {
                        **self._common("message_end"),
                        "id": str(self._ids.message),
                        "metadata": {"usage": usage_fields(event.usage), "retriever_resources": []},
                        "files": [],
                    }
                )
            case Failed():
                return orjson.dumps({**self._common("error"), **error_fields(known_code(event.code), event.message)})
            case Closed():
                return None

    def _common(self, name: str) -> dict[str, Any]:
        return {
            "event": name,
            "task_id": str(self._ids.run),
            "message_id": str(self._ids.message),
            "conversation_id": str(self._ids.conversation),
            "created_at": int(self._ids.created_at.timestamp()),
        }


def error_frame(error: HeliconError, codes: Mapping[ErrorCode, str]) -> bytes:
    """The frame of a failure that came before there was a run.

    Args:
        error: the failure.
        codes: what the surface calls differently from `/v1`.
    """
    common = {"event": "error", "task_id": "", "message_id": "", "conversation_id": "", "created_at": int(time.time())}
    fields = error_fields(error.code, error.message)
    return orjson.dumps({**common, **fields, "code": codes.get(error.code, fields["code"])})


def known_code(code: str) -> ErrorCode:
    """The code of a `Failed` event; INTERNAL for one that a newer worker may have sent."""
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.INTERNAL


def usage_fields(usage: Usage) -> dict[str, Any]:
    """What an answer cost, as the API shows it: tokens as ints, prices as decimal strings, times as numbers."""
    prompt = price_of(usage.prompt_tokens, Decimal(usage.prompt_unit_price))
    completion = price_of(usage.completion_tokens, Decimal(usage.completion_unit_price))
    return {
        "prompt_tokens": usage.prompt_tokens,
        "prompt_unit_price": usage.prompt_unit_price,
        "prompt_price_unit": usage.price_unit,
        "prompt_price": _decimal(prompt),
        "completion_tokens": usage.completion_tokens,
        "completion_unit_price": usage.completion_unit_price,
        "completion_price_unit": usage.price_unit,
        "completion_price": _decimal(completion),
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "total_price": _decimal(prompt + completion),
        "currency": usage.currency,
        "latency": usage.latency,
        "time_to_first_token": usage.time_to_first_token,
        "time_to_generate": usage.time_to_generate,
    }


def _decimal(price: Decimal) -> str:
    """A price with seven places behind the point, as the API's example shows it; never an exponent."""
    return f"{price:.7f}"
