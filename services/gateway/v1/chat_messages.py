"""`/v1/chat-messages`: ask, stop, and hear again."""

import hashlib
from contextlib import closing
from typing import Any
from uuid import UUID

import orjson
from flask import Blueprint, Response, request

from services.gateway.auth import authenticate
from services.gateway.bodies import read_json, validate
from services.gateway.gateway import Gateway
from services.gateway.streaming.collect import collect
from services.gateway.streaming.response import stream_response
from services.gateway.usecases.accounts import refuse_disabled
from services.gateway.usecases.chats import Question
from services.gateway.usecases.runs import Idempotency, RunStream
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

    def app_of_key() -> AppRecord:
        holder = authenticate(request, gateway.accounts)
        if holder.app is None:
            raise HeliconError(ErrorCode.UNAUTHORIZED, "Access token is invalid")
        return refuse_disabled(holder.app)

    @routes.post("")
    def ask() -> Response:
        app = app_of_key()
        fields = read_json(request)
        asked = validate(ChatMessageIn, fields)
        question = Question(app, asked.user, Surface.V1, asked.query, asked.inputs, asked.conversation_id)
        chat = gateway.chats.prepare(question)
        stream = gateway.runs.start(question, chat, _idempotency(fields))
        if asked.response_mode == "streaming":
            wants_ids = request.headers.get("X-Event-Ids") == "1"
            return stream_response(stream, ids=wants_ids, content_type=SSE)
        return _blocking(stream, gateway.settings.blocking_seconds)

    @routes.post("/<task_id>/stop")
    def stop(task_id: str) -> Response:
        app = app_of_key()
        asked = validate(UserIn, read_json(request))
        run = _uuid(task_id)
        if run is not None:
            gateway.runs.stop(app.id, asked.user, run)
        return _json({"result": "success"})

    @routes.get("/<task_id>/events")
    def events(task_id: str) -> Response:
        app = app_of_key()
        asked = validate(EventsIn, _with_last_event_id(request.args.to_dict()))
        run = _uuid(task_id)
        if run is None:
            raise HeliconError(ErrorCode.NOT_FOUND, "Task not found.")
        stream = gateway.runs.resume(app.id, asked.user, run, asked.after)
        return stream_response(stream, ids=True, content_type=SSE)

    return routes


def _blocking(stream: RunStream, seconds: float) -> Response:
    with closing(stream):
        answer = collect(stream.batches, seconds)
    return _json(blocking_answer(stream.ids, answer))


def _idempotency(fields: dict[str, Any]) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key.strip() or len(key) > LONGEST_IDEMPOTENCY_KEY:
        raise HeliconError.invalid(f"Idempotency-Key: must have 1 to {LONGEST_IDEMPOTENCY_KEY} characters")
    body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return Idempotency(key, hashlib.sha256(body).digest())


def _with_last_event_id(query: dict[str, str]) -> dict[str, str]:
    """The query, with the header of a browser's EventSource for `after`: it knows better, after a reconnect."""
    last = request.headers.get("Last-Event-ID")
    return {**query, "after": last} if last else query


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _json(fields: dict[str, Any]) -> Response:
    return Response(orjson.dumps(fields), content_type="application/json; charset=utf-8")
