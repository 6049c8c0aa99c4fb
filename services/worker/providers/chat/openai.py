"""OpenAI's chat completions, streamed: the protocol of most vendors.

Source: https://platform.openai.com/docs/api-reference/chat/create and .../chat-streaming
"""

from typing import Any, cast

from services.worker.providers.base import ChatPart, ChatRequest, Endpoint, TextDelta, UsageReport
from services.worker.providers.chat.answer import read_count, read_object
from services.worker.providers.failures import reported
from services.worker.providers.http import Call
from services.worker.providers.sse import ServerSentEvent
from shared.contracts.jobs import Sampling


def make_call(endpoint: Endpoint, request: ChatRequest) -> Call:
    """The call of a request. What is None is not sent: the vendor's own default holds."""
    document: dict[str, object] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        endpoint.limit_field: request.answer_limit,
        **_sampling(request.sampling),
    }
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    return Call("/chat/completions", document, headers)


def _sampling(sampling: Sampling) -> dict[str, object]:
    sent: dict[str, object] = sampling.model_dump(exclude_none=True, exclude={"stop"})
    if sampling.stop:
        sent["stop"] = list(sampling.stop)
    return sent


class Answer:
    """What has come of an answer so far."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._counts: dict[str, Any] = {}
        self.whole = False
        self.ended = False

    def read(self, event: ServerSentEvent, parts: list[ChatPart]) -> bool:
        """Take an event. Fields that are not known are passed over, and so is what a model thinks."""
        if event.data == b"[DONE]":
            self.whole = self.ended = True
            return False
        chunk = read_object(event.data, self._endpoint)
        error = chunk.get("error")
        if error or event.kind == "error" or chunk.get("object") == "error":
            raise reported(self._endpoint, error or chunk)
        if chunk.get("usage"):
            self._count(chunk["usage"])
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return False
        choice = cast("list[object]", choices)[0]
        return isinstance(choice, dict) and self._read_choice(cast("dict[str, Any]", choice), parts)

    def _read_choice(self, choice: dict[str, Any], parts: list[ChatPart]) -> bool:
        if choice.get("finish_reason"):
            self.whole = True
        if choice.get("usage"):
            self._count(choice["usage"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return False
        fields = cast("dict[str, Any]", delta)
        content = fields.get("content")
        if content and isinstance(content, str):
            parts.append(TextDelta(content))
            return True
        return bool(fields.get("reasoning_content") or fields.get("reasoning"))

    def usage(self) -> UsageReport | None:
        """The last counts. Gemini leaves what a model thought out of the completion, but not out of the total."""
        prompt = read_count(self._counts, "prompt_tokens")
        completion = read_count(self._counts, "completion_tokens")
        if prompt is None or completion is None:
            return None
        total = read_count(self._counts, "total_tokens") or 0
        return UsageReport(prompt, max(completion, total - prompt))

    def _count(self, counts: object) -> None:
        """Vendors count once at the end, or again and again; the last count holds."""
        if isinstance(counts, dict):
            self._counts = cast("dict[str, Any]", counts)
