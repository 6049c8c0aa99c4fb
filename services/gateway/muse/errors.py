"""Every failure as the Muse API words it: an envelope of JSON, plain text on `/communicate`, frames in a stream."""

from typing import Any

import orjson
from flask import Response

from shared.domain.errors import ErrorCode, HeliconError

ANSWERS: dict[ErrorCode, tuple[int, int, str]] = {
    ErrorCode.UNAUTHORIZED: (401, 210008, "not login"),
    ErrorCode.FORBIDDEN: (403, 210011, "forbidden"),
    ErrorCode.NOT_FOUND: (404, 210012, "not found"),
    ErrorCode.METHOD_NOT_ALLOWED: (405, 210014, "method not allowed"),
    ErrorCode.BAD_REQUEST: (400, 210009, "param error"),
    ErrorCode.INVALID_PARAM: (400, 210009, "param error"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, 210009, "param error"),
    ErrorCode.BODY_TOO_LARGE: (413, 210009, "param error"),
    ErrorCode.URI_TOO_LONG: (414, 210009, "param error"),
    ErrorCode.BODY_BROKEN_OFF: (500, 210009, "param error"),
    ErrorCode.CONFLICT: (409, 210009, "param error"),
    ErrorCode.MCP_SERVER_UNUSABLE: (400, 210010, "config error"),
    ErrorCode.RATE_LIMITED: (429, 210013, "too many requests"),
    ErrorCode.TOO_MANY_CHATS: (429, 210013, "too many requests"),
    ErrorCode.APP_UNAVAILABLE: (400, 210009, "param error"),
    ErrorCode.NO_PROVIDER_KEY: (400, 210009, "param error"),
    ErrorCode.QUOTA_EXCEEDED: (400, 210009, "param error"),
    ErrorCode.PROVIDER_QUOTA_EXCEEDED: (400, 210009, "param error"),
    ErrorCode.MODEL_UNSUPPORTED: (400, 210009, "param error"),
    ErrorCode.PROVIDER_FAILED: (500, 1, "err unknown"),
    ErrorCode.PROVIDER_RATE_LIMITED: (429, 210013, "too many requests"),
    ErrorCode.QUEUE_FULL: (503, 1, "err unknown"),
    ErrorCode.QUEUE_TIMEOUT: (503, 1, "err unknown"),
    ErrorCode.QUEUE_UNAVAILABLE: (503, 1, "err unknown"),
    ErrorCode.EVENTS_UNAVAILABLE: (503, 1, "err unknown"),
    ErrorCode.DATABASE_READ_FAILED: (503, 210006, "db query fail"),
    ErrorCode.DATABASE_WRITE_FAILED: (503, 210005, "db write fail"),
    ErrorCode.BLOCKING_TIMEOUT: (504, 1, "err unknown"),
    ErrorCode.WORKER_LOST: (500, 1, "err unknown"),
    ErrorCode.RESTARTED: (500, 1, "err unknown"),
    ErrorCode.INTERNAL: (500, 1, "err unknown"),
}
"""The HTTP status, the code of the envelope, and the beginning of its words."""

FRAME_CODES = {ErrorCode.TOO_MANY_CHATS: "too_many_chats"}
"""What frames of this surface call differently from those of `/v1`."""

COMMUNICATE_PATHS = ("/communicate", "/api/communicate")


def respond(error: HeliconError) -> Response:
    """The failure as the envelope."""
    status, number, words = ANSWERS[error.code]
    envelope: dict[str, Any] = {"code": number, "msg": f"{words}: {error.message}", "data": None}
    return Response(orjson.dumps(envelope), status, content_type="application/json; charset=utf-8")


def respond_in_text(error: HeliconError) -> Response:
    """The failure as `/communicate` tells it before a stream has begun."""
    status, _, _ = ANSWERS[error.code]
    words = "Error reading request body" if error.code is ErrorCode.BODY_BROKEN_OFF else error.message
    return Response(words, status, content_type="text/plain; charset=utf-8")
