"""`GET /ws`: who may open a WebSocket, and the handshake."""

import base64
import binascii
from collections.abc import Collection
from typing import Any, cast

from flask import Blueprint, Flask, Request, Response, request
from flask_sock import Sock

from services.gateway.gateway import Gateway
from services.gateway.streaming.websocket import WebSocket, WebSocketLimits
from services.gateway.ws.session import Session
from services.gateway.ws.sockets import Sockets
from shared.domain.errors import ErrorCode, HeliconError

PATH = "/ws"
OK, SWITCHED = 200, 101
VERSION = "13"
KEY_BYTES = 16
MOST_BYTES = 1024 * 1024
"""Bytes of a message."""


class _NoThread:
    """Stands where simple-websocket starts a thread that reads: `WebSocket` reads."""

    name = ""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        """Start nothing."""


def add_socket_routes(app: Flask, gateway: Gateway) -> Sockets:
    """Give `app` the WebSocket, and give back all that will be open."""
    routes = Blueprint("ws", __name__)
    settings = gateway.settings
    sockets = Sockets(settings.drain_seconds)
    limits = WebSocketLimits(
        most_bytes=MOST_BYTES,
        ping_seconds=settings.ws_ping_seconds,
        silence_seconds=settings.ws_ping_seconds + settings.write_seconds,
    )

    @routes.before_request
    def enter() -> None:
        _check_handshake(request)
        _refuse_foreign(request, settings.origins)
        if sockets.is_leaving():
            raise HeliconError(ErrorCode.QUEUE_UNAVAILABLE, "This gateway shuts down: connect again.")

    @routes.after_request
    def left(response: Response) -> Response:
        if response.status_code == OK:
            response.status_code = SWITCHED  # as the client was told: this is for the log
        return response

    @routes.get(PATH)
    def plain() -> Response:
        raise HeliconError(ErrorCode.BAD_REQUEST, f"{PATH} speaks WebSocket: ask for an upgrade.")

    def serve(accepted: Any) -> None:  # noqa: ANN401 - simple-websocket has no types
        accepted.connected = False  # what flask-sock would do with it later is done here
        accepted.sock.settimeout(settings.write_seconds)
        session = Session(gateway, WebSocket(accepted.sock, accepted.ws.connection, limits))
        with sockets.holding(session):
            session.run()

    cast("Any", Sock()).route(PATH, bp=routes)(serve)
    app.config["SOCK_SERVER_OPTIONS"] = {"thread_class": _NoThread}
    app.register_blueprint(routes)
    sockets.start()
    return sockets


def _check_handshake(asked: Request) -> None:
    """Refuse what simple-websocket would fail on, and the compression that it would take without asking.

    A compressor for each socket costs more memory than all the rest of it.

    Raises:
        HeliconError: BAD_REQUEST.
    """
    if asked.endpoint == "ws.plain":
        return
    asked.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    if asked.headers.get("Sec-WebSocket-Version") != VERSION:
        raise HeliconError(ErrorCode.BAD_REQUEST, f"Sec-WebSocket-Version must be {VERSION}.")
    if not _is_key(asked.headers.get("Sec-WebSocket-Key", "")):
        raise HeliconError(ErrorCode.BAD_REQUEST, f"Sec-WebSocket-Key must be {KEY_BYTES} bytes in base64.")
    if not asked.headers.get("Host") or "Transfer-Encoding" in asked.headers:
        raise HeliconError(ErrorCode.BAD_REQUEST, "The handshake must have a Host and no body.")


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _refuse_foreign(asked: Request, origins: Collection[str]) -> None:
    """Let in who sends no Origin, as no browser does, and pages of this host and of `origins`.

    Raises:
        HeliconError: FORBIDDEN.
    """
    origin = asked.headers.get("Origin")
    if origin is None or origin.lower() in origins:
        return
    scheme, _, host = origin.lower().partition("://")
    if scheme not in {"http", "https"} or host != asked.headers.get("Host", "").lower():
        raise HeliconError(ErrorCode.FORBIDDEN, f"The origin {origin[:200]!r} is not in HELICON_ORIGINS.")
