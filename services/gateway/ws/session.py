"""One client's socket: first who is there, then any number of requests at once."""

import time
from contextlib import closing

import gevent
import structlog
from wsproto.frame_protocol import CloseReason

from services.gateway.bodies import validate
from services.gateway.gateway import Gateway
from services.gateway.streaming.frames import Frames
from services.gateway.streaming.runstream import RunStream
from services.gateway.streaming.websocket import WebSocket, text_frame
from services.gateway.ws.messages import (
    NO_ID,
    PONG,
    AuthIn,
    Message,
    error_text,
    event_head,
    event_text,
    ok_text,
    parse_message,
    ready_text,
)
from services.gateway.ws.requests import REQUESTS, identify
from shared.contracts.events import Closed, Event
from shared.domain.errors import ErrorCode, HeliconError

log = structlog.get_logger()

UNAUTHORIZED, IDLE = 4401, 4408
MOST_MISUNDERSTOOD = 3
"""Frames in a row that are no request."""
MOST_REQUESTS = 1000
"""Requests under way on a socket; runs that are heard are most of them."""


class Session:
    """What a client does on its socket.

    Args:
        gateway: serves it.
        socket: its own.
    """

    def __init__(self, gateway: Gateway, socket: WebSocket) -> None:
        self._gateway = gateway
        self._settings = gateway.settings
        self._socket = socket
        self._auth: AuthIn | None = None
        self._began_at = self._active_at = time.monotonic()
        self._under_way = 0
        self._misunderstood = 0
        self._leaving = False

    def run(self) -> None:
        """Serve the client until its socket has ended. Its runs go on."""
        self._socket.serve(self._take)
        log.info("socket.closed", code=self._socket.code, seconds=round(time.monotonic() - self._began_at, 1))

    def tick(self, now: float) -> None:
        """Look after the time that everything may take; `now` is of `time.monotonic`."""
        if self._auth is None:
            self._await_auth(now)
        elif not self._under_way and now - self._active_at > self._settings.ws_idle_seconds:
            self._socket.close(IDLE, "Neither a run nor a message for too long.")
        self._socket.tick(now)

    def leave(self, *, at_once: bool) -> None:
        """The gateway shuts down: close, at once or when the requests under way have ended."""
        self._leaving = True
        if at_once or not self._under_way:
            self._socket.close(CloseReason.GOING_AWAY, "The gateway shuts down.")

    def _await_auth(self, now: float) -> None:
        seconds = self._settings.ws_auth_seconds
        if now - self._began_at > seconds:
            self._refuse_entry(NO_ID, HeliconError(ErrorCode.UNAUTHORIZED, f"No auth within {seconds:g} s."))

    def _take(self, text: bytes | None) -> None:
        self._active_at = time.monotonic()
        try:
            self._understand(text)
        except Exception:
            log.exception("socket.failed")
            self._socket.close(CloseReason.INTERNAL_ERROR, "Something went wrong on our side.")

    def _understand(self, text: bytes | None) -> None:
        try:
            message = parse_message(text)
            if self._auth is not None and message.type not in {"auth", "ping", *REQUESTS}:
                raise HeliconError.invalid(f"type: {message.type[:40]!r} is not known")
        except HeliconError as error:
            self._misunderstand(error)
            return
        self._misunderstood = 0
        match message.type:
            case "auth":
                self._authenticate(message)
            case _ if self._auth is None:
                self._refuse_entry(message.id, HeliconError(ErrorCode.UNAUTHORIZED, "The first message must be auth."))
            case "ping":
                self._socket.send(text_frame(PONG))
            case _:
                self._begin(message, self._auth)

    def _misunderstand(self, error: HeliconError) -> None:
        self._misunderstood += 1
        self._refuse(NO_ID, error)
        if self._misunderstood == MOST_MISUNDERSTOOD:
            self._socket.close(CloseReason.POLICY_VIOLATION, f"{MOST_MISUNDERSTOOD} frames in a row are no request.")

    def _authenticate(self, message: Message) -> None:
        try:
            if self._auth is not None:
                raise HeliconError.invalid("type: auth was already given on this socket")
            if not isinstance(message.fields.get("key"), str):
                raise HeliconError(ErrorCode.UNAUTHORIZED, "key: an API key must be given")
            auth = validate(AuthIn, message.fields)
            caller = identify(self._gateway, auth)
        except HeliconError as error:
            refused = error.code in {ErrorCode.UNAUTHORIZED, ErrorCode.FORBIDDEN}
            (self._refuse_entry if refused else self._refuse)(message.id, error)
        else:
            self._auth = auth
            self._socket.send(text_frame(ready_text(caller.app.name)))

    def _begin(self, message: Message, auth: AuthIn) -> None:
        """Do what is asked in a greenlet of its own."""
        if self._leaving:
            away = HeliconError(ErrorCode.QUEUE_UNAVAILABLE, "This gateway shuts down: connect again.")
            self._refuse(message.id, away)
        elif self._under_way >= MOST_REQUESTS:
            many = HeliconError(ErrorCode.RATE_LIMITED, f"{MOST_REQUESTS} requests are under way on this socket.")
            self._refuse(message.id, many)
        else:
            self._under_way += 1
            gevent.spawn(self._answer, message, auth)

    def _answer(self, message: Message, auth: AuthIn) -> None:
        try:
            caller = identify(self._gateway, auth)
            if message.type != "stop" and "id" not in message.fields:
                raise HeliconError.invalid("id: is needed, for the events to be told from those of other runs")
            stream = REQUESTS[message.type](self._gateway, caller, message)
            if stream is None:
                self._socket.send(text_frame(ok_text(message.id)))
            else:
                self._follow(stream, message.id)
        except HeliconError as error:
            revoked = error.code is ErrorCode.UNAUTHORIZED
            (self._refuse_entry if revoked else self._refuse)(message.id, error)
        except Exception:
            log.exception("socket.request_failed", type=message.type)
            self._refuse(message.id, HeliconError(ErrorCode.INTERNAL, "Something went wrong on our side."))
        finally:
            self._end()

    def _follow(self, stream: RunStream, message_id: bytes) -> None:
        """Relay a run to its end; the run goes on when the socket does not."""
        head, frames = event_head(message_id), Frames(stream.ids)
        last: Event | None = None
        said = False
        with closing(stream):
            for batch in stream.batches:
                written = [
                    text_frame(event_text(head, seq, frame))
                    for seq, event in batch
                    if seq > stream.after and (frame := frames.write(event)) is not None
                ]
                if self._socket.closing or (written and not self._socket.send(b"".join(written))):
                    return
                said = said or bool(written)
                last = batch[-1][1] if batch else last
        if not isinstance(last, Closed):
            self._socket.close(CloseReason.POLICY_VIOLATION, "Events are read too slowly: connect again and resume.")
        elif not said:
            self._socket.send(text_frame(ok_text(message_id)))  # whoever has them all would wait for ever

    def _end(self) -> None:
        self._under_way -= 1
        self._active_at = time.monotonic()
        if self._leaving:
            self.leave(at_once=False)

    def _refuse(self, message_id: bytes, error: HeliconError) -> None:
        self._socket.send(text_frame(error_text(message_id, error)))

    def _refuse_entry(self, message_id: bytes, error: HeliconError) -> None:
        self._socket.close(UNAUTHORIZED, error.message, text_frame(error_text(message_id, error)))
