"""The Flask application: routes, what happens around every request, and failures in the surface's words."""

import re
import time
from collections.abc import Sequence

import structlog
import uuid_utils.compat as uuids
from flask import Flask, Request, Response, g, request
from flask_cors import CORS

from services.gateway.bodies import check_target
from services.gateway.errors import Respond, handle_errors
from services.gateway.gateway import Gateway
from services.gateway.health import health_routes
from services.gateway.muse import errors as muse_errors
from services.gateway.muse.communicate import communicate_routes
from services.gateway.muse.configuration import configuration_routes
from services.gateway.muse.mcp_servers import mcp_server_routes
from services.gateway.muse.records import record_routes
from services.gateway.muse.users import user_routes
from services.gateway.v1 import errors as v1_errors
from services.gateway.v1.chat_messages import chat_message_routes
from services.gateway.ws.door import PATH as SOCKET_PATH
from services.gateway.ws.door import add_socket_routes

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
FORM_PARTS = 100
LONGEST_LOGGED = 200
"""Characters of a path that stand in the log."""
SOCKETS = "helicon_sockets"
"""Where an application has its open WebSockets."""
PREFLIGHT_SECONDS = 600
"""How long a browser may believe what it was allowed."""
PROBES = {"/healthz", "/readyz"}
"""Asked every few seconds by whoever watches: logged at debug level."""


def make_app(gateway: Gateway) -> Flask:
    """The application that serves `gateway`."""
    app = Flask("helicon", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = gateway.settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = gateway.settings.max_body_bytes
    app.config["MAX_FORM_PARTS"] = FORM_PARTS
    app.url_map.strict_slashes = False
    _around_requests(app, gateway.settings.max_line_bytes)
    handle_errors(app, _surface_of)
    _allow_pages_of(app, gateway.settings.origins)
    app.register_blueprint(health_routes(gateway.database, gateway.broker, gateway.events, gateway.relay))
    app.register_blueprint(chat_message_routes(gateway))
    app.register_blueprint(communicate_routes(gateway))
    app.register_blueprint(configuration_routes(gateway))
    app.register_blueprint(mcp_server_routes(gateway))
    app.register_blueprint(user_routes(gateway))
    app.register_blueprint(record_routes(gateway))
    app.extensions[SOCKETS] = add_socket_routes(app, gateway)
    return app


def _surface_of(asked: Request) -> Respond:
    if asked.path in {"/v1", SOCKET_PATH} or asked.path.startswith("/v1/"):
        return v1_errors.respond
    if asked.path in muse_errors.COMMUNICATE_PATHS:
        return muse_errors.respond_in_text
    return muse_errors.respond


def _allow_pages_of(app: Flask, origins: Sequence[str]) -> None:
    """Let web pages of other origins ask, and read what scripts need of the answer's headers."""
    if origins:
        CORS(app, origins=list(origins), expose_headers=["X-Request-Id", "Retry-After"], max_age=PREFLIGHT_SECONDS)


def _around_requests(app: Flask, max_line_bytes: int) -> None:
    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        asked = request.headers.get("X-Request-Id", "")
        g.request_id = asked if _REQUEST_ID.fullmatch(asked) else str(uuids.uuid7())
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        check_target(request, max_line_bytes)

    @app.after_request
    def answered(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        milliseconds = round((time.perf_counter() - g.started) * 1000, 1)
        say = log.debug if request.path in PROBES else log.info
        say(
            "request",
            method=request.method,
            path=request.path[:LONGEST_LOGGED],
            status=response.status_code,
            ms=milliseconds,
        )
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()
