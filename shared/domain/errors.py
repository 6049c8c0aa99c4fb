"""What can go wrong, one stable code each; the status and the words of a code are a surface's own table."""

from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """Stable codes: they stand in events, in the runs' rows and in logs, and are never renamed."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BAD_REQUEST = "bad_request"
    INVALID_PARAM = "invalid_param"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    BODY_TOO_LARGE = "body_too_large"
    URI_TOO_LONG = "uri_too_long"
    BODY_BROKEN_OFF = "body_broken_off"
    CONFLICT = "conflict"
    MCP_SERVER_UNUSABLE = "mcp_server_unusable"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_CHATS = "too_many_chats"
    APP_UNAVAILABLE = "app_unavailable"
    NO_PROVIDER_KEY = "no_provider_key"
    QUOTA_EXCEEDED = "quota_exceeded"
    PROVIDER_QUOTA_EXCEEDED = "provider_quota_exceeded"
    MODEL_UNSUPPORTED = "model_unsupported"
    PROVIDER_FAILED = "provider_failed"
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    QUEUE_UNAVAILABLE = "queue_unavailable"
    EVENTS_UNAVAILABLE = "events_unavailable"
    DATABASE_READ_FAILED = "database_read_failed"
    DATABASE_WRITE_FAILED = "database_write_failed"
    BLOCKING_TIMEOUT = "blocking_timeout"
    WORKER_LOST = "worker_lost"
    RESTARTED = "restarted"
    INTERNAL = "internal"


class HeliconError(Exception):
    """A failure that a client is told about.

    Args:
        code: what went wrong.
        message: for the client's developer: what was wrong, with which value, and what to do. No secrets.
        retry_after: seconds until another try makes sense, where that is known.
    """

    def __init__(self, code: ErrorCode, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @classmethod
    def invalid(cls, message: str) -> Self:
        """A field of the request that can't be used; `message` names it."""
        return cls(ErrorCode.INVALID_PARAM, message)
