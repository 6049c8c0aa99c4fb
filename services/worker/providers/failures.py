"""What vendors and the network say when a call fails, mapped to `ProviderError`. Pure: no I/O.

| what came | code | again? |
|---|---|---|
| refused, no such host, no TLS, proxy away: never reached | PROVIDER_FAILED | yes |
| closed before an answer: maybe processed | PROVIDER_FAILED | once, at once |
| broke off, cut | PROVIDER_FAILED | if nothing was said yet |
| 401, 403, or it says that the key is wrong | NO_PROVIDER_KEY | no |
| 402, or it says that the account is empty | PROVIDER_QUOTA_EXCEEDED | no |
| 404, or it says that there is no such model | MODEL_UNSUPPORTED | no |
| 429 | PROVIDER_RATE_LIMITED | yes, after `Retry-After` |
| 408, 409, 5xx | PROVIDER_FAILED | yes, after `Retry-After` |
| anything else | PROVIDER_FAILED | no |

Messages name the provider, never its address, and never hold its key.
"""

import os
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, cast

import aiohttp
import httpx
import orjson

from services.worker.providers.base import Endpoint
from services.worker.providers.errors import ProviderError
from services.worker.providers.retry_after import retry_after_seconds
from shared.domain.errors import ErrorCode

LONGEST_MESSAGE = 500
"""Characters of a vendor's message that are shown."""

TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError)
"""What a call may raise. The transport lets some of aiohttp's own through, an answer that is no HTTP for one."""

_MAPPED_STATUSES = {
    401: ErrorCode.NO_PROVIDER_KEY,
    402: ErrorCode.PROVIDER_QUOTA_EXCEEDED,
    403: ErrorCode.NO_PROVIDER_KEY,
    404: ErrorCode.MODEL_UNSUPPORTED,
    429: ErrorCode.PROVIDER_RATE_LIMITED,
}
_RETRYABLE_STATUSES = {408, 409, 429}
_SERVER_ERRORS = 500

_NAMED_STATUSES = {
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error within a stream would have had. Sources: https://docs.anthropic.com/en/api/errors and
https://platform.openai.com/docs/guides/error-codes"""

_SPOKEN_CODES = {
    ErrorCode.PROVIDER_QUOTA_EXCEEDED: (
        "insufficient_quota",  # OpenAI, with 429
        "billing_hard_limit_reached",
        "insufficient balance",  # DeepSeek
        "credit balance is too low",  # Anthropic, with 400
        "arrearage",  # Aliyun, with 400
        "accountoverdueerror",  # Volcengine, with 403
    ),
    ErrorCode.NO_PROVIDER_KEY: (
        "invalid_api_key",
        "api key not valid",  # Gemini, with 400
    ),
    ErrorCode.MODEL_UNSUPPORTED: (
        "model_not_found",
        "model not exist",  # DeepSeek, with 400
        "is not a valid model id",  # OpenRouter, with 400
    ),
}
"""What vendors say, in lower case, where their status says too little."""

_BAD_URL = "can't be called: its URL is not a valid one"
_TRANSPORT_WORDS: tuple[tuple[type[Exception], str, bool, bool], ...] = (
    (aiohttp.ClientProxyConnectionError, "could not be reached: the proxy does not answer", True, False),
    (aiohttp.ClientConnectorCertificateError, "could not be reached: its certificate is not valid", False, False),
    (aiohttp.ServerFingerprintMismatch, "could not be reached: its certificate is not the expected one", False, False),
    (aiohttp.ClientConnectorDNSError, "could not be reached: its name is not known", True, False),
    (aiohttp.ServerTimeoutError, "could not be reached: no connection in time", True, False),
    (aiohttp.ClientResponseError, "sent a malformed answer: it is not HTTP", False, False),
    (aiohttp.InvalidURL, _BAD_URL, False, False),
    (aiohttp.NonHttpUrlClientError, _BAD_URL, False, False),
    (httpx.InvalidURL, _BAD_URL, False, False),
    (httpx.UnsupportedProtocol, _BAD_URL, False, False),
)
"""What went wrong on the way: words, whether another try makes sense, and whether at once."""

_SECRETS = re.compile(r"\b(?:sk|pk|rk)-[\w*.-]{6,}|\bAIza[\w*-]{8,}|\bBearer\s+[\w.~+/=-]+", re.IGNORECASE)
"""What looks like a key: a vendor may show a part of ours, or another one."""


def map_transport_error(error: Exception, endpoint: Endpoint, *, answered: bool = False) -> ProviderError:
    """Say what a failed exchange means.

    httpx-aiohttp maps refused, unresolved and dropped connections alike to `httpx.ConnectTimeout`: aiohttp's own
    exception, its cause, tells "never reached" from "maybe processed".

    Args:
        error: one of `TRANSPORT_ERRORS`.
        endpoint: which was asked.
        answered: whether the answer's headers had come.
    """
    if isinstance(error, httpx.DecodingError):
        return malformed(endpoint, "it can't be decompressed")
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ is not None else error
    if answered and isinstance(cause, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return cut(endpoint)
    words, retryable, at_once = _transport_words(cause)
    return ProviderError(
        ErrorCode.PROVIDER_FAILED, f"{endpoint.provider} {words}.", retryable=retryable, at_once=at_once
    )


def _transport_words(cause: BaseException) -> tuple[str, bool, bool]:
    """Words, whether another try makes sense, and whether at once."""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"could not be reached: the proxy answered {cause.status}", cause.status >= _SERVER_ERRORS, False
    for kind, words, retryable, at_once in _TRANSPORT_WORDS:
        if isinstance(cause, kind):
            return words, retryable, at_once
    if isinstance(cause, aiohttp.ClientConnectorError):
        return f"could not be reached: {_reason(cause.os_error)}", True, False
    if isinstance(cause, aiohttp.ClientConnectionError):
        return "closed the connection before it answered", False, True
    return f"failed: {type(cause).__name__}", True, False


def _reason(error: OSError) -> str:
    """The system's words for an error; those of the library hold the address."""
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as it should"
    return os.strerror(error.errno).lower() if error.errno else "no connection"


def refused(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Say what a status other than 200 means.

    Args:
        endpoint: which was asked.
        status: the HTTP status.
        headers: the answer's.
        body: the answer's beginning.
    """
    names, message = _read_error(_parse(body))
    if status in range(300, 400):
        message = "it has moved; correct the provider's URL"
    retry_after = retry_after_seconds(headers)
    said = f"{endpoint.provider} answered {status}"
    return _error(endpoint, status, names, said, message, retry_after)


def reported(endpoint: Endpoint, error: object) -> ProviderError:
    """Say what an error within a stream means. `error` is what the vendor's JSON holds under that name."""
    names, message = _read_error({"error": error})
    status = next((found for found in map(_status_of, names) if found is not None), 400)
    return _error(endpoint, status, names, f"{endpoint.provider} reported an error", message, None)


def cut(endpoint: Endpoint) -> ProviderError:
    """The stream ended without an end of the answer."""
    words = f"{endpoint.provider} broke off: the answer was cut."
    return ProviderError(ErrorCode.PROVIDER_FAILED, words, retryable=True)


def malformed(endpoint: Endpoint, what: str) -> ProviderError:
    """The vendor sent what its protocol does not have."""
    return ProviderError(ErrorCode.PROVIDER_FAILED, f"{endpoint.provider} sent a malformed answer: {what}.")


def empty(endpoint: Endpoint) -> ProviderError:
    """The answer ended as it should and holds nothing."""
    words = (
        f"{endpoint.provider} gave an empty answer. If the model thinks before it speaks, its limit of tokens may be "
        "too small."
    )
    return ProviderError(ErrorCode.PROVIDER_FAILED, words)


def scrub(text: str, key: str) -> str:
    """Take keys and unprintable characters out of a vendor's words, and cut them."""
    text = text.replace(key, "***") if key else text
    text = _SECRETS.sub("***", text)
    printable = "".join(character if character.isprintable() else " " for character in text)
    words = " ".join(printable.split())
    return words if len(words) <= LONGEST_MESSAGE else words[: LONGEST_MESSAGE - 1] + "…"


def _error(
    endpoint: Endpoint, status: int, names: Iterable[str], said: str, message: str, retry_after: float | None
) -> ProviderError:
    spoken = _spoken_code(" ".join((*names, message)).lower())
    code = spoken or _MAPPED_STATUSES.get(status, ErrorCode.PROVIDER_FAILED)
    retryable = spoken is None and (status in _RETRYABLE_STATUSES or status >= _SERVER_ERRORS)
    words = scrub(message, endpoint.key)
    text = f"{said}: {words}" if words else f"{said}."
    return ProviderError(code, text, retryable=retryable, retry_after=retry_after if retryable else None)


def _spoken_code(said: str) -> ErrorCode | None:
    return next((code for code, marks in _SPOKEN_CODES.items() if any(mark in said for mark in marks)), None)


def _status_of(name: str) -> int | None:
    """The status that an error's `type` or `code` stands for: a number as it is (OpenRouter, Gemini, vLLM)."""
    if name.isascii() and name.isdigit():
        return int(name[:3])
    return _NAMED_STATUSES.get(name.lower())


def _parse(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text  # a web page says nothing in a line


def _read_error(document: object) -> tuple[list[str], str]:
    """The names (`code`, `type`, `status`) and the message of an error, in whichever form the vendors give it.

    `{"error": {"message", "type", "code"}}` (OpenAI, Anthropic), the same in a list (Gemini), `{"error": "..."}`
    (Ollama), `{"message", "type", "code"}` (vLLM, Aliyun), `{"detail": "..."}` (FastAPI), or plain text.
    """
    if isinstance(document, list):
        items = cast("list[object]", document)
        return _read_error(items[0]) if items else ([], "")
    if not isinstance(document, dict):
        return [], document if isinstance(document, str) else ""
    fields = cast("dict[str, Any]", document)
    inner = fields.get("error")
    if isinstance(inner, dict | list):
        return _read_error(cast("object", inner))
    names = [str(fields[name]) for name in ("code", "type", "status") if isinstance(fields.get(name), str | int)]
    words = (inner, fields.get("message"), fields.get("detail"))
    return names, next((text for text in words if isinstance(text, str) and text), "")
