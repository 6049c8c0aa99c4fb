"""`/v1/chat-messages`: ask, stop, and hear again."""

from contextlib import closing

from flask import Blueprint, Response, request

from services.gateway.bodies import read_body
from services.gateway.fields import parse_id
from services.gateway.gateway import Gateway
from services.gateway.streaming.collect import collect
from services.gateway.streaming.response import stream_response
from services.gateway.streaming.runstream import RunStream
from services.gateway.usecases.chats import Idempotency, Question
from services.gateway.v1.door import Door, Reply
from services.gateway.v1.presenter import blocking_answer
from services.gateway.v1.schemas import ChatMessageIn, EventsIn, UserIn
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import Surface
from shared.store.apps import AppRecord

SSE = "text/event-stream; charset=utf-8"
LONGEST_IDEMPOTENCY_KEY = 255


def chat_message_routes(gateway: Gateway) -> Blueprint:
    """The routes of `/v1/chat-messages`."""
    routes = Blueprint("v1_chat_messages", __name__, url_prefix="/v1/chat-messages")
    door = Door(gateway.accounts, gateway.rates, routes)

    @door.post("", takes=ChatMessageIn, rated=True)
    def ask(app: AppRecord, asked: ChatMessageIn) -> Reply:
        question = Question(app, asked.user, Surface.V1, asked.query, asked.inputs, asked.conversation_id)
        stream = gateway.chats.ask(question, _idempotency())
        if asked.response_mode == "blocking":
            return _wait(stream)
        return _relay(stream, ids=request.headers.get("X-Event-Ids") == "1")

    @door.post("/<task_id>/stop", takes=UserIn)
    def stop(app: AppRecord, asked: UserIn, task_id: str) -> Reply:
        run = parse_id(task_id)
        if run is not None:
            gateway.runs.stop(app.id, asked.user, run)
        return {"result": "success"}

    @door.get("/<task_id>/events", takes=EventsIn)
    def events(app: AppRecord, asked: EventsIn, task_id: str) -> Reply:
        run = parse_id(task_id)
        if run is None:
            raise HeliconError(ErrorCode.NOT_FOUND, "Task not found.")
        return _relay(gateway.runs.resume(app.id, asked.user, run, _last_event_id(asked.after)), ids=True)

    def _relay(stream: RunStream, *, ids: bool) -> Response:
        return stream_response(stream, content_type=SSE, write_seconds=gateway.settings.write_seconds, ids=ids)

    def _wait(stream: RunStream) -> Reply:
        with closing(stream):
            answer = collect(stream.batches, gateway.settings.blocking_seconds)
        return blocking_answer(stream.ids, answer)

    return routes


def _idempotency() -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key.strip() or len(key) > LONGEST_IDEMPOTENCY_KEY:
        raise HeliconError.invalid(f"Idempotency-Key: must have 1 to {LONGEST_IDEMPOTENCY_KEY} characters")
    return Idempotency.of(key, read_body(request))


def _last_event_id(after: int) -> int:
    """`after`, or what a browser's EventSource says when it comes back, which knows better."""
    last = request.headers.get("Last-Event-ID", "")
    if not last:
        return after
    if not last.isascii() or not last.isdigit():
        raise HeliconError.invalid(f"Last-Event-ID: {last[:40]!r} is no number")
    return min(int(last[:20]), 2**53)
