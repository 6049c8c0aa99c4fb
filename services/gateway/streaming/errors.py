"""Every failure in the vocabulary of the chat application API: in frames on both surfaces, and on `/v1` itself."""

from typing import Any

from shared.domain.errors import ErrorCode

STATUSES: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.UNAUTHORIZED: (401, "unauthorized"),
    ErrorCode.FORBIDDEN: (403, "forbidden"),
    ErrorCode.NOT_FOUND: (404, "not_found"),
    ErrorCode.METHOD_NOT_ALLOWED: (405, "method_not_allowed"),
    ErrorCode.BAD_REQUEST: (400, "bad_request"),
    ErrorCode.INVALID_PARAM: (400, "invalid_param"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: (415, "unsupported_media_type"),
    ErrorCode.BODY_TOO_LARGE: (413, "request_entity_too_large"),
    ErrorCode.URI_TOO_LONG: (414, "request_uri_too_long"),
    ErrorCode.BODY_BROKEN_OFF: (400, "bad_request"),
    ErrorCode.CONFLICT: (409, "conflict"),
    ErrorCode.MCP_SERVER_UNUSABLE: (400, "invalid_param"),
    ErrorCode.RATE_LIMITED: (429, "too_many_requests"),
    ErrorCode.TOO_MANY_CHATS: (429, "too_many_requests"),
    ErrorCode.APP_UNAVAILABLE: (400, "app_unavailable"),
    ErrorCode.NO_PROVIDER_KEY: (400, "provider_not_initialize"),
    ErrorCode.QUOTA_EXCEEDED: (400, "provider_quota_exceeded"),
    ErrorCode.PROVIDER_QUOTA_EXCEEDED: (400, "provider_quota_exceeded"),
    ErrorCode.MODEL_UNSUPPORTED: (400, "model_currently_not_support"),
    ErrorCode.PROVIDER_FAILED: (400, "completion_request_error"),
    ErrorCode.PROVIDER_RATE_LIMITED: (429, "too_many_requests"),
    ErrorCode.QUEUE_FULL: (503, "service_unavailable"),
    ErrorCode.QUEUE_TIMEOUT: (503, "service_unavailable"),
    ErrorCode.QUEUE_UNAVAILABLE: (503, "service_unavailable"),
    ErrorCode.EVENTS_UNAVAILABLE: (503, "service_unavailable"),
    ErrorCode.DATABASE_READ_FAILED: (503, "service_unavailable"),
    ErrorCode.DATABASE_WRITE_FAILED: (503, "service_unavailable"),
    ErrorCode.BLOCKING_TIMEOUT: (504, "gateway_timeout"),
    ErrorCode.WORKER_LOST: (500, "internal_server_error"),
    ErrorCode.RESTARTED: (500, "internal_server_error"),
    ErrorCode.INTERNAL: (500, "internal_server_error"),
}


def error_fields(code: ErrorCode, message: str) -> dict[str, Any]:
    """The fields of an error: `code`, `message` and `status`."""
    status, name = STATUSES[code]
    return {"code": name, "message": message, "status": status}
