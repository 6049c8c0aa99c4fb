"""What can be asked on a WebSocket, each the same as its route does."""

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.auth import holder_of
from services.gateway.bodies import validate
from services.gateway.fields import parse_id
from services.gateway.gateway import Gateway
from services.gateway.streaming.runstream import RunStream
from services.gateway.usecases.accounts import refuse_disabled
from services.gateway.usecases.chats import Question
from services.gateway.ws.messages import AuthIn, ChatIn, CommunicateIn, Message, ResumeIn, TaskIn
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import Surface
from shared.store.apps import AppRecord


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `key` is the prefix of an app's key, None for an administrator's, which is in the app that it named."""

    app: AppRecord
    user: str
    key: str | None


def identify(gateway: Gateway, auth: AuthIn) -> Caller:
    """Who the client is by now: keys are revoked and apps disabled while sockets are open.

    Raises:
        HeliconError: UNAUTHORIZED; FORBIDDEN, the app is disabled; NOT_FOUND, an administrator's app;
            DATABASE_READ_FAILED.
    """
    holder = holder_of(auth.key, gateway.accounts)
    app = refuse_disabled(holder.app or gateway.accounts.app(auth.app_id))
    return Caller(app, auth.user, holder.prefix if holder.app else None)


def chat(gateway: Gateway, caller: Caller, message: Message) -> RunStream:
    """As `POST /v1/chat-messages`, which takes no administrator's key."""
    asked = validate(ChatIn, message.fields)
    if caller.key is None:
        raise HeliconError(ErrorCode.FORBIDDEN, "An administrator's key belongs to no app: chat with an app's key.")
    if asked.user not in (None, caller.user):
        raise HeliconError.invalid(f"user: this socket is {caller.user!r}'s")
    gateway.rates.take(caller.app, caller.user, caller.key)
    question = Question(caller.app, caller.user, Surface.V1, asked.query, asked.inputs, asked.conversation_id)
    return gateway.chats.ask(question)


def communicate(gateway: Gateway, caller: Caller, message: Message) -> RunStream:
    """As `POST /communicate`."""
    asked = validate(CommunicateIn, message.fields)
    if asked.file not in (None, ""):
        raise HeliconError.invalid("file: uploads are not taken yet")
    gateway.prompts.refuse_not_allowed(caller.user)
    gateway.rates.take(caller.app, caller.user, caller.key)
    return gateway.prompts.answer(caller.app, caller.user, asked.prompt)


def resume(gateway: Gateway, caller: Caller, message: Message) -> RunStream:
    """As `GET /v1/chat-messages/{task_id}/events`."""
    asked = validate(ResumeIn, message.fields)
    run = parse_id(asked.task_id)
    if run is None:
        raise HeliconError(ErrorCode.NOT_FOUND, "Task not found.")
    return gateway.runs.resume(caller.app.id, caller.user, run, asked.after)


def stop(gateway: Gateway, caller: Caller, message: Message) -> None:
    """As `POST /v1/chat-messages/{task_id}/stop`."""
    run = parse_id(validate(TaskIn, message.fields).task_id)
    if run is not None:
        gateway.runs.stop(caller.app.id, caller.user, run)


REQUESTS: dict[str, Callable[[Gateway, Caller, Message], RunStream | None]] = {
    "chat": chat,
    "communicate": communicate,
    "resume": resume,
    "stop": stop,
}
"""By `type`; what has no run to follow is answered with ok."""
