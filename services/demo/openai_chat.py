"""OpenAI's chat completions, as the demo upstream speaks them.

Source: https://platform.openai.com/docs/api-reference/chat
"""

import time
from collections.abc import Iterator
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.demo import tokens
from services.demo.answers import Answer, Question, Turn
from services.demo.calls import answer_call
from services.demo.delivery import Frames
from services.demo.faults import Faults, ToolCall
from services.demo.refusals import Reason, Refusal, ScriptedRefusal, first_fault

_ERRORS: dict[Reason, tuple[int, str, str | None]] = {
    Reason.BAD_REQUEST: (400, "invalid_request_error", None),
    Reason.WRONG_KEY: (401, "invalid_request_error", "invalid_api_key"),
    Reason.FORBIDDEN: (403, "permission_error", "permission_denied"),
    Reason.MODEL_NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    Reason.UNKNOWN_PATH: (404, "invalid_request_error", "unknown_url"),
    Reason.CONTEXT_TOO_LONG: (400, "invalid_request_error", "context_length_exceeded"),
    Reason.TOO_LARGE: (413, "invalid_request_error", None),
    Reason.TOO_MANY: (429, "requests", "rate_limit_exceeded"),
    Reason.BROKEN: (500, "server_error", None),
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Part(_Strict):
    type: str
    text: str = ""


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None

    def turn(self) -> Turn:
        if isinstance(self.content, list):
            return Turn(self.role, "".join(part.text for part in self.content))
        return Turn(self.role, self.content or "")


class _StreamOptions(_Strict):
    include_usage: bool = False


class _Body(_Strict):
    model: str
    messages: list[_Message] = Field(min_length=1)
    stream: bool = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    tool_choice: Any = None

    def question(self) -> Question:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Question(
            model=self.model,
            turns=tuple(message.turn() for message in self.messages),
            limit=self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
            stops=tuple(stops),
            stream=self.stream,
            usage_wanted=self.stream_options is not None and self.stream_options.include_usage,
            tools_allowed=self.tool_choice != "none",
        )


class OpenAIChat:
    """The protocol."""

    name = "openai"

    def key(self, request: web.Request) -> str:
        """The bearer token."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def read(self, raw: bytes) -> Question:
        """The question in a request's body."""
        try:
            return _Body.model_validate_json(raw).question()
        except ValidationError as error:
            raise Refusal(Reason.BAD_REQUEST, first_fault(error)) from error

    def document(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> bytes:
        """A `chat.completion`."""
        calls = [_call(call_id, index, call) for index, call in enumerate(answer.calls)]
        content = "".join(answer.text) or (None if calls else "")
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.reason}
        document = {**_envelope(call_id, question, "chat.completion"), "choices": [choice]}
        if not faults.no_usage:
            document["usage"] = _usage(question, answer)
        return orjson.dumps(document)

    def frames(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> Frames:
        """A row of `chat.completion.chunk`."""
        envelope = orjson.dumps(_envelope(call_id, question, "chat.completion.chunk"))[:-1]
        with_usage = question.usage_wanted and not faults.no_usage
        before = b"data: " + envelope + b',"choices":[{"index":0,"delta":'
        middle = b',"logprobs":null,"finish_reason":'
        close = b'}],"usage":null}\n\n' if with_usage else b"}]}\n\n"
        after = middle + b"null" + close
        role = {"role": "assistant", "content": None if answer.calls and not answer.text else ""}
        tail = b"%b{}%b%b%b" % (before, middle, orjson.dumps(answer.reason), close)
        if with_usage:
            usage = orjson.dumps(_usage(question, answer))
            tail += b'data: %b,"choices":[],"usage":%b}\n\n' % (envelope, usage)
        return Frames(
            head=before + orjson.dumps(role) + after,
            body=(before + delta + after for delta in _deltas(call_id, answer)),
            tail=tail + b"data: [DONE]\n\n" if answer.error is None else _error_frame(answer.error),
            broken=b'data: {"id":"chatcmpl-demo-broken","choices":[{"delta":{"content":\n\n',
        )

    def refusal(self, refusal: Refusal | ScriptedRefusal) -> tuple[int, bytes]:
        """The status and `{"error": {...}}`."""
        if isinstance(refusal, ScriptedRefusal):
            return refusal.status, orjson.dumps({"error": _error(refusal.error)})
        status, kind, code = _ERRORS[refusal.reason]
        error = {"message": refusal.message, "type": kind, "param": None, "code": code}
        return status, orjson.dumps({"error": error})


OPENAI_CHAT = OpenAIChat()


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    return await answer_call(request, OPENAI_CHAT)


def _envelope(call_id: int, question: Question, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-demo-{call_id}",
        "object": kind,
        "created": int(time.time()),
        "model": question.model,
        "system_fingerprint": "helicon_demo",
    }


def _usage(question: Question, answer: Answer) -> dict[str, int]:
    prompt, completion = answer.usage(question)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _call(call_id: int, index: int, call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_demo_{call_id}_{index}", "type": "function", "function": function}


def _deltas(call_id: int, answer: Answer) -> Iterator[bytes]:
    """The deltas of an answer in JSON, one for each of its pieces."""
    for piece in answer.text:
        yield b'{"content":' + orjson.dumps(piece) + b"}"
    for index, call in enumerate(answer.calls):
        opening = _call(call_id, index, ToolCall(call.name, ""))
        yield orjson.dumps({"tool_calls": [{"index": index, **opening}]})
        for piece in tokens.split(call.arguments):
            yield orjson.dumps({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


def _error(error: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(error, dict):
        return error
    return {"message": error, "type": "server_error", "param": None, "code": None}


def _error_frame(error: str | dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"error": _error(error)}) + b"\n\n"
