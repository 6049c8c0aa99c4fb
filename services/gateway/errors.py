"""Failures as responses: what stands between an exception and a surface's words for it."""

from collections.abc import Callable

import structlog
from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shared.domain.errors import ErrorCode, HeliconError

log = structlog.get_logger()

Respond = Callable[[HeliconError], Response]
"""How a surface answers a failure."""

RETRY_STATUSES = {429, 503}
RETRY_SECONDS = 5
"""What a client is told that should come back, where nobody knows better."""

_HTTP_CODES = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.BODY_TOO_LARGE,
    414: ErrorCode.URI_TOO_LONG,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}


def handle_errors(app: Flask, surface_of: Callable[[Request], Respond]) -> None:
    """Answer every failure of `app` in the words of the surface that the request is for."""

    def helicon_error(error: HeliconError) -> Response:
        response = surface_of(request)(error)
        if error.retry_after is not None or response.status_code in RETRY_STATUSES:
            response.headers["Retry-After"] = str(max(1, round(error.retry_after or RETRY_SECONDS)))
        if response.status_code == 401:  # noqa: PLR2004
            response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
        return response

    def http_error(error: HTTPException) -> Response:
        response = helicon_error(_translate(error))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    def unexpected_error(error: Exception) -> Response:
        log.error("request.failed", exc_info=error)
        return helicon_error(HeliconError(ErrorCode.INTERNAL, "Something went wrong on our side."))

    app.register_error_handler(HeliconError, helicon_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected_error)


def _translate(error: HTTPException) -> HeliconError:
    """What Flask and Werkzeug raise, as ours."""
    code = _HTTP_CODES.get(error.code or 500)
    match code:
        case ErrorCode.METHOD_NOT_ALLOWED:
            message = f"{request.method} is not allowed here."
        case ErrorCode.BODY_TOO_LARGE:
            message = f"The body is too large: at most {request.max_content_length} bytes."
        case ErrorCode.NOT_FOUND:
            message = f"There is nothing at {request.path}."
        case _:
            message = error.description or error.name
    client_failed = error.code is not None and 400 <= error.code < 500  # noqa: PLR2004 - HTTP's own numbers
    return HeliconError(code or (ErrorCode.BAD_REQUEST if client_failed else ErrorCode.INTERNAL), message)
