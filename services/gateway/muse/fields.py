"""Where the Muse API's clients put their fields: query, form, JSON."""

from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from flask import Request
from pydantic import AfterValidator, BeforeValidator

from services.gateway.bodies import check_text, read_body
from shared.domain.errors import ErrorCode, HeliconError

MULTIPART = "multipart/form-data"
FORMS = {"application/x-www-form-urlencoded", MULTIPART}
DEFAULT_PAGE_SIZE = 10
LONGEST_PAGE = 100
LAST_PAGE = 10**9


def read_form(request: Request) -> dict[str, Any]:
    """The fields of a form; none where there is no body.

    Raises:
        HeliconError: UNSUPPORTED_MEDIA_TYPE, the body is something else; BAD_REQUEST, or as `read_body`.
    """
    body = read_body(request)
    if request.files or (body and request.mimetype not in FORMS):
        words = f"The body is {request.mimetype or 'of no type'}: a form is needed."
        raise HeliconError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, words)
    check_text(body if request.mimetype == MULTIPART else unquote_to_bytes(body), "body")
    return request.form.to_dict()


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
