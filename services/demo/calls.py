"""The way of every call, whatever its protocol: read, refuse or compose, send, and note how it ended."""

import asyncio
from typing import Protocol

from aiohttp import web

from services.demo.answers import Answer, Question, compose
from services.demo.asked import AskedCall, AskedCalls
from services.demo.delivery import Frames, send_document, send_stream
from services.demo.faults import Faults, ModelNameError, parse_model
from services.demo.refusals import CallCounts, Reason, Refusal, ScriptedRefusal, refuse
from services.demo.script import Script, ScriptItem

CONTEXT_LENGTH = 32_768
WRONG_KEY = "wrong"
FORBIDDEN_KEY = "forbidden"


class Memory:
    """All that the demo upstream remembers between calls."""

    def __init__(self) -> None:
        self.asked = AskedCalls()
        self.script = Script()
        self.counts = CallCounts()

    def clear(self) -> None:
        """Forget everything."""
        self.asked.clear()
        self.script.clear()
        self.counts.clear()


MEMORY = web.AppKey("memory", Memory)


class WireProtocol(Protocol):
    """A protocol for chats: how calls, answers and refusals look in it."""

    name: str

    def key(self, request: web.Request) -> str:
        """The caller's key, "" if there is none."""
        ...

    def read(self, raw: bytes) -> Question:
        """The question in a request's body.

        Raises:
            Refusal: BAD_REQUEST, it is not readable.
        """
        ...

    def document(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> bytes:
        """The answer in one piece."""
        ...

    def frames(self, call_id: int, question: Question, answer: Answer, faults: Faults) -> Frames:
        """The answer as a stream."""
        ...

    def refusal(self, refusal: Refusal | ScriptedRefusal) -> tuple[int, bytes]:
        """The status and the body of a refusal."""
        ...


async def answer_call(request: web.Request, wire: WireProtocol) -> web.StreamResponse:
    """Answer one call in the words of `wire`."""
    key = wire.key(request)
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        return refuse_call(wire, Refusal(Reason.TOO_LARGE, str(error.text)))
    asked = request.app[MEMORY].asked.add(wire.name, request.path, key, raw)
    try:
        return await _answer(request, wire, asked)
    except (Refusal, ScriptedRefusal) as refusal:
        response = refuse_call(wire, refusal)
        asked.status = response.status
        asked.end("server")
        return response
    except asyncio.CancelledError:
        asked.end("client")
        raise
    except ConnectionError:
        asked.end("client")
        return web.Response()  # nobody reads it; an error would be logged as ours


def check_key(key: str) -> None:
    """Every key and none is good, but two.

    Raises:
        Refusal: WRONG_KEY or FORBIDDEN.
    """
    if key == WRONG_KEY:
        raise Refusal(Reason.WRONG_KEY, "The demo upstream refuses the key 'wrong'; any other will do, or none.")
    if key == FORBIDDEN_KEY:
        raise Refusal(Reason.FORBIDDEN, "The demo upstream forbids everything to the key 'forbidden'.")


def refuse_call(wire: WireProtocol, refusal: Refusal | ScriptedRefusal) -> web.Response:
    """A refusal in the words of `wire`."""
    status, body = wire.refusal(refusal)
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = f"{refusal.retry_after:g}"
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _answer(request: web.Request, wire: WireProtocol, asked: AskedCall) -> web.StreamResponse:
    check_key(asked.key)
    question = wire.read(asked.body)
    asked.model = question.model
    memory = request.app[MEMORY]
    item = memory.script.take(question.model)
    faults = _faults(question, asked.key, item, memory.counts)
    asked.prompt_tokens = question.prompt_tokens
    _check_context(question)
    answer = compose(question, faults, item)
    asked.pieces, asked.status = answer.pieces, 200
    if question.stream:
        return await send_stream(request, asked, wire.frames(asked.id, question, answer, faults), faults)
    if answer.error is not None:
        raise ScriptedRefusal(500, answer.error)
    return await send_document(request, asked, wire.document(asked.id, question, answer, faults), faults)


def _faults(question: Question, key: str, item: ScriptItem | None, counts: CallCounts) -> Faults:
    """What shall go wrong with this call, after the refusals among it.

    Raises:
        Refusal, ScriptedRefusal: the call is refused by the script, by its faults or for its model.
    """
    if item is not None:
        faults = item.parsed_faults()
        if item.status is not None:
            words = item.error or f"Scripted status {item.status}."
            raise ScriptedRefusal(item.status, words, retry_after=faults.retry_after)
        refuse(faults, calls=0)
        return faults
    try:
        faults = parse_model(question.model)
    except ModelNameError as error:
        raise Refusal(Reason.MODEL_NOT_FOUND, str(error)) from error
    counts.check(question.model, key, faults)
    return faults


def _check_context(question: Question) -> None:
    if question.prompt_tokens > CONTEXT_LENGTH:
        raise Refusal(
            Reason.CONTEXT_TOO_LONG,
            f"This model's maximum context length is {CONTEXT_LENGTH} tokens. "
            f"However, your messages resulted in {question.prompt_tokens} tokens.",
        )
