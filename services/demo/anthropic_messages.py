"""Anthropic's messages, as the demo upstream speaks them.

Source: https://docs.anthropic.com/en/api/messages and .../messages-streaming
"""

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

_ERRORS: dict[Reason, tuple[int, str]] = {
    Reason.BAD_REQUEST: (400, "invalid_request_error"),
    Reason.WRONG_KEY: (401, "authentication_error"),
    Reason.FORBIDDEN: (403, "permission_error"),
    Reason.MODEL_NOT_FOUND: (404, "not_found_error"),
    Reason.UNKNOWN_PATH: (404, "not_found_error"),
    Reason.CONTEXT_TOO_LONG: (400, "invalid_request_error"),
    Reason.TOO_LARGE: (413, "request_too_large"),
    Reason.TOO_MANY: (429, "rate_limit_error"),
    Reason.BROKEN: (529, "overloaded_error"),
}

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Block(_Strict):
    type: str
    text: str = ""
    content: "str | list[_Block]" = ""


class _Message(_Strict):
    role: Literal["user", "assistant"]
    content: str | list[_Block]

    def turns(self) -> Iterator[Turn]:
        if isinstance(self.content, str):
            yield Turn(self.role, self.content)
            return
        results = [block for block in self.content if block.type == "tool_result"]
        text = _text(self.content)
        if text or not results:
            yield Turn(self.role, text)
        for result in results:
            yield Turn("tool", _text(result.content))


class _ToolChoice(_Strict):
    type: str


class _Body(_Strict):
    model: str
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    system: str | list[_Block] | None = None
    stream: bool = False
    stop_sequences: list[str] = Field(default_factory=list[str])
    tool_choice: _ToolChoice | None = None

    def question(self) -> Question:
        system = [Turn("system", _text(self.system))] if self.system is not None else []
        return Question(
            model=self.model,
            turns=(*system, *(turn for message in self.messages for turn in message.turns())),
            limit=self.max_tokens,
            stops=tuple(self.stop_sequences),
            stream=self.stream,
            tools_allowed=self.tool_choice is None or self.tool_choice.type != "none",
        )


class AnthropicMessages:
    """The protocol."""

    name = "anthropic"

    def key(self, request: web.Request) -> str:
        """The header `x-api-key`, else the bearer token."""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        return request.headers.get("x-api-key", bearer)

    def read(self, raw: bytes) -> Question:
        """The question in a request's body."""
        try:
            return _Body.model_validate_json(raw).question()
        except ValidationError as error:
            raise Refusal(Reason.BAD_REQUEST, first_fault(error)) from error

    def document(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> bytes:
        """A whole message."""
        content: list[dict[str, Any]] = [{"type": "text", "text": "".join(answer.text)}] if answer.text else []
        for index, call in enumerate(answer.calls):
            content.append({**_tool_use(call_id, index, call), "input": _input(call)})
        message = {**_message(call_id, question), "content": content, **_ending(answer)}
        if not faults.no_usage:
            prompt, completion = answer.usage(question)
            message["usage"] = {"input_tokens": prompt, "output_tokens": completion}
        return orjson.dumps(message)

    def frames(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> Frames:
        """The events from `message_start` to `message_stop`."""
        message = _message(call_id, question)
        ending: dict[str, Any] = {"delta": _ending(answer)}
        if not faults.no_usage:
            prompt, completion = answer.usage(question)
            message["usage"] = {"input_tokens": prompt, "output_tokens": 0}
            ending["usage"] = {"output_tokens": completion}
        head = _event("message_start", message=message)
        if answer.text:
            head += _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        end = _event("message_delta", **ending) + _event("message_stop")
        blocks = bool(answer.text) + len(answer.calls)
        close = _event("content_block_stop", index=blocks - 1) if blocks else b""
        return Frames(
            head=head + _event("ping"),
            body=_deltas(call_id, answer),
            tail=close + end if answer.error is None else _event("error", error=_error(answer.error)),
            broken=b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":\n\n',
        )

    def refusal(self, refusal: Refusal | ScriptedRefusal) -> tuple[int, bytes]:
        """The status and `{"type": "error", "error": {...}}`."""
        if isinstance(refusal, ScriptedRefusal):
            return refusal.status, orjson.dumps({"type": "error", "error": _error(refusal.error)})
        status, kind = _ERRORS[refusal.reason]
        return status, orjson.dumps({"type": "error", "error": {"type": kind, "message": refusal.message}})


ANTHROPIC_MESSAGES = AnthropicMessages()


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    return await answer_call(request, ANTHROPIC_MESSAGES)


def _text(content: str | list[_Block]) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)


def _message(call_id: int, question: Question) -> dict[str, Any]:
    """A message that has not said anything yet."""
    return {
        "id": f"msg_demo_{call_id}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _ending(answer: Answer) -> dict[str, str | None]:
    reason = "stop_sequence" if answer.stop_word is not None else _STOP_REASONS[answer.reason]
    return {"stop_reason": reason, "stop_sequence": answer.stop_word}


def _tool_use(call_id: int, index: int, call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_demo_{call_id}_{index}", "name": call.name, "input": {}}


def _input(call: ToolCall) -> object:
    """A call's arguments as a document holds them: parsed, or the bare string where a test wants no JSON."""
    try:
        return orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return call.arguments


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def _deltas(call_id: int, answer: Answer) -> Iterator[bytes]:
    """The events of an answer, one item for each of its pieces; what opens and closes blocks goes along."""
    before, after = _delta_around(0, b'"text_delta","text":')
    for piece in answer.text:
        yield before + orjson.dumps(piece) + after
    first = 1 if answer.text else 0
    for number, call in enumerate(answer.calls):
        index = first + number
        close = _event("content_block_stop", index=index - 1) if index else b""
        yield close + _event("content_block_start", index=index, content_block=_tool_use(call_id, number, call))
        before, after = _delta_around(index, b'"input_json_delta","partial_json":')
        for piece in tokens.split(call.arguments):
            yield before + orjson.dumps(piece) + after


def _delta_around(index: int, kind: bytes) -> tuple[bytes, bytes]:
    """The bytes before and after the text of a `content_block_delta`."""
    before = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b'
    return before % (index, kind), b"}}\n\n"


def _error(error: str | dict[str, Any]) -> dict[str, Any]:
    return error if isinstance(error, dict) else {"type": "overloaded_error", "message": error}
