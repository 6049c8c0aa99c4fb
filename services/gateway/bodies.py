"""What clients send, read with bounds: bodies, JSON objects, and paths and queries that are text."""

from typing import Any, TypeVar, cast
from urllib.parse import unquote_to_bytes

import orjson
from flask import Request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from shared.domain.errors import ErrorCode, HeliconError

M = TypeVar("M", bound=BaseModel)


def check_target(request: Request, max_bytes: int) -> None:
    """Refuse a path or a query that is too long or is no text.

    Raises:
        HeliconError: URI_TOO_LONG, BAD_REQUEST.
    """
    target = len(request.environ.get("RAW_URI", "")) or len(request.path) + len(request.query_string)
    if target > max_bytes:
        raise HeliconError(
            ErrorCode.URI_TOO_LONG,
            f"The request target has {target} bytes, at most {max_bytes} are read: send long fields in the body.",
        )
    path: str = request.environ.get("PATH_INFO", "")
    for name, encoded in (("path", path.encode("latin-1")), ("query", unquote_to_bytes(request.query_string))):
        if "\0" in check_text(encoded, name):
            raise HeliconError(ErrorCode.BAD_REQUEST, f"The {name} has a NUL character.")


def check_text(encoded: bytes, name: str) -> str:
    """The text that bytes are.

    Raises:
        HeliconError: BAD_REQUEST, they are none.
    """
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise HeliconError(ErrorCode.BAD_REQUEST, f"The {name} is not valid UTF-8.") from None


def read_body(request: Request) -> bytes:
    """The whole body; forms are parsed from it afterwards.

    Raises:
        HeliconError: BODY_TOO_LARGE, nothing or not all of it was read; BODY_BROKEN_OFF, the client left before its
            end; BAD_REQUEST, it is malformed.
    """
    try:
        body = request.get_data(cache=True, parse_form_data=False)
    except RequestEntityTooLarge:
        raise _too_large(request) from None
    except (ClientDisconnected, OSError) as error:
        raise _broken_off() from error
    except ParseException as error:
        raise HeliconError(ErrorCode.BAD_REQUEST, f"The body's chunks can't be read: {error}.") from error
    # A body of unknown length is cut at the limit without a word.
    if request.content_length is None and len(body) >= (request.max_content_length or len(body) + 1):
        raise _too_large(request)
    # A body that broke off reads as if it were complete.
    if request.content_length is not None and len(body) < request.content_length:
        raise _broken_off()
    return body


def _too_large(request: Request) -> HeliconError:
    limit = request.max_content_length
    return HeliconError(ErrorCode.BODY_TOO_LARGE, f"The body is too large: at most {limit} bytes.")


def _broken_off() -> HeliconError:
    return HeliconError(ErrorCode.BODY_BROKEN_OFF, "The body ended before its Content-Length.")


def read_json(request: Request) -> dict[str, Any]:
    """The JSON object of the body.

    Raises:
        HeliconError: UNSUPPORTED_MEDIA_TYPE, BAD_REQUEST, or as `read_body`.
    """
    if not request.is_json:
        raise HeliconError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {request.mimetype or 'missing'}, application/json is needed.",
        )
    return parse_object(read_body(request))


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        HeliconError: BAD_REQUEST, it is none, or nested too deep.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HeliconError(ErrorCode.BAD_REQUEST, f"The body is no JSON: {error.msg} at {error.pos}.") from error
    if not isinstance(value, dict):
        raise HeliconError(ErrorCode.BAD_REQUEST, "The body must be a JSON object.")
    return cast("dict[str, Any]", value)


def validate(kind: type[M], fields: dict[str, Any]) -> M:
    """The fields as `kind`.

    Raises:
        HeliconError: INVALID_PARAM, naming the first field that does not fit.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise HeliconError.invalid(f"{where}: {words}" if where else words) from error
