"""Anthropic's messages, streamed.

Source: https://docs.anthropic.com/en/api/messages and .../messages-streaming
"""

from typing import Any, cast

from services.worker.providers.base import ChatPart, ChatRequest, Endpoint, TextDelta, UsageReport
from services.worker.providers.chat.answer import read_count, read_object
from services.worker.providers.failures import reported
from services.worker.providers.http import Call
from services.worker.providers.sse import ServerSentEvent
from shared.contracts.jobs import Sampling

VERSION = "2023-06-01"
HIGHEST_TEMPERATURE = 1.0

_PROMPT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def make_call(endpoint: Endpoint, request: ChatRequest) -> Call:
    """The call of a request: the system's messages apart, messages without text left out (they are refused)."""
    document: dict[str, object] = {
        "model": request.model,
        "messages": [
            {"role": message.role, "content": message.content}
            for message in request.messages
            if message.role != "system" and message.content.strip()
        ],
        "max_tokens": request.answer_limit,
        "stream": True,
        **_sampling(request.sampling),
    }
    system = [message.content for message in request.messages if message.role == "system" and message.content.strip()]
    if system:
        document["system"] = "\n\n".join(system)
    headers = {"anthropic-version": VERSION, **({"x-api-key": endpoint.key} if endpoint.key else {})}
    return Call(_path(endpoint.url), document, headers)


def _path(url: str) -> str:
    """The path behind a base URL. Anthropic's own has no version in it; those of others may."""
    return "/messages" if url.rstrip("/").endswith("/v1") else "/v1/messages"


def _sampling(sampling: Sampling) -> dict[str, object]:
    """The parameters that the protocol has: no penalties, a temperature of at most 1.

    Claude 4.1 and later refuse temperature and top_p together ("temperature and top_p cannot both be specified for this
    model"): where both are set the temperature goes, as Anthropic's own page advises. Stop sequences of white space
    alone are refused too.
    """
    sent: dict[str, object] = {}
    if sampling.temperature is not None:
        sent["temperature"] = min(sampling.temperature, HIGHEST_TEMPERATURE)
    elif sampling.top_p is not None:
        sent["top_p"] = sampling.top_p
    stops = [stop for stop in sampling.stop if stop.strip()]
    if stops:
        sent["stop_sequences"] = stops
    return sent


class Answer:
    """What has come of an answer so far."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._counts: dict[str, Any] = {}
        self.whole = False
        self.ended = False

    def read(self, event: ServerSentEvent, parts: list[ChatPart]) -> bool:
        """Take an event. Kinds that are not known are passed over, and so is what a model thinks."""
        fields = read_object(event.data, self._endpoint)
        match fields.get("type"):
            case "content_block_delta":
                return _read_delta(fields.get("delta"), parts)
            case "message_start":
                message = fields.get("message")
                self._count(cast("dict[str, Any]", message) if isinstance(message, dict) else {})
            case "message_delta":
                delta = fields.get("delta")
                self.whole = isinstance(delta, dict) and bool(cast("dict[str, Any]", delta).get("stop_reason"))
                self._count(fields)
            case "message_stop":
                self.whole = self.ended = True
            case "error":
                raise reported(self._endpoint, fields.get("error") or fields)
            case _:
                pass
        return False

    def usage(self) -> UsageReport | None:
        """The last counts; what was read from or written to the cache belongs to the prompt."""
        completion = read_count(self._counts, "output_tokens")
        if completion is None or read_count(self._counts, "input_tokens") is None:
            return None
        return UsageReport(sum(read_count(self._counts, name) or 0 for name in _PROMPT_COUNTS), completion)

    def _count(self, holder: dict[str, Any]) -> None:
        """Counts are cumulative: those of `message_delta` go over those of `message_start`, where it has them."""
        counts = holder.get("usage")
        if isinstance(counts, dict):
            known = cast("dict[str, Any]", counts)
            self._counts |= {name: value for name, value in known.items() if value is not None}


def _read_delta(delta: object, parts: list[ChatPart]) -> bool:
    if not isinstance(delta, dict):
        return False
    fields = cast("dict[str, Any]", delta)
    text = fields.get("text")
    if fields.get("type") == "text_delta" and text and isinstance(text, str):
        parts.append(TextDelta(text))
        return True
    return bool(fields.get("thinking"))
