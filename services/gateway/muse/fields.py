"""Where the Muse API's clients put their fields: query, form, JSON."""

from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from flask import Request
from pydantic import AfterValidator, BeforeValidator
from werkzeug.datastructures import MultiDict

from services.gateway.bodies import check_text, read_body
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RecordType

MULTIPART = "multipart/form-data"
FORMS = {"application/x-www-form-urlencoded", MULTIPART}
DEFAULT_PAGE_SIZE = 10
LONGEST_PAGE = 100
LAST_PAGE = 10**9


def read_form(request: Request) -> dict[str, Any]:
    """The fields of a form; none where there is no body.

    Raises:
        HeliconError: UNSUPPORTED_MEDIA_TYPE, the body is something else; BAD_REQUEST; or as `read_body`, `read_once`.
    """
    body = read_body(request)
    if request.files or (body and request.mimetype not in FORMS):
        words = f"The body is {request.mimetype or 'of no type'}: a form is needed."
        raise HeliconError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, words)
    check_text(body if request.mimetype == MULTIPART else unquote_to_bytes(body), "body")
    return read_once(request.form)


def read_once(given: MultiDict[str, str]) -> dict[str, Any]:
    """The fields of a form or a query, none of which may be there twice: nobody knows which one was meant.

    Raises:
        HeliconError: INVALID_PARAM.
    """
    for name, values in given.lists():
        if len(values) > 1:
            raise HeliconError.invalid(f"{name}: given {len(values)} times")
    return given.to_dict()


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - which pydantic answers
    return value


Integer = Annotated[int, BeforeValidator(_no_boolean)]
"""A whole number, also as a string; true is none."""


def _zero_or_one(value: object) -> object:
    if value in (None, ""):
        return None
    if value not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return value == "1"


ZeroOrOne = Annotated[bool | None, BeforeValidator(_zero_or_one)]
"""A switch in a query; None where it is not there."""


def _record_types(value: object) -> object:
    kinds = {str(kind.number): kind for kind in RecordType}
    names = [name.strip() for name in str(value).split(",")] if value not in (None, "") else []
    for name in names:
        if name not in kinds:
            raise ValueError(f"{name!r} is none of {', '.join(kinds)}; several are joined with commas")
    return tuple(dict.fromkeys(kinds[name] for name in names))


RecordTypes = Annotated[tuple[RecordType, ...], BeforeValidator(_record_types)]
"""Numbers of record types in a query, joined with commas."""


def _or_default(default: int) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value in (None, "") else value)


Page = Annotated[int, _or_default(1), AfterValidator(lambda page: min(page, LAST_PAGE) if page >= 1 else 1)]
"""Which page of a list, from 1."""

PageSize = Annotated[
    int,
    _or_default(DEFAULT_PAGE_SIZE),
    AfterValidator(lambda size: min(size, LONGEST_PAGE) if size >= 1 else DEFAULT_PAGE_SIZE),
]
"""How many items a page has, at most 100."""
