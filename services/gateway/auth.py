"""Keys in requests: `Authorization: Bearer KEY`."""

from typing import Literal

from flask import Request

from services.gateway.usecases.accounts import Accounts
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.keys import KeyHolder

_WORDS: dict[Literal["missing", "scheme", "unknown"], str] = {
    "missing": "Authorization header must be provided and start with 'Bearer'",
    "scheme": "Authorization scheme must be 'Bearer'",
    "unknown": "Access token is invalid",
}
LONGEST_KEY = 256


def authenticate(request: Request, accounts: Accounts) -> KeyHolder:
    """Whom the request's key stands for.

    Raises:
        HeliconError: UNAUTHORIZED, no key, or none that is known.
    """
    scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    key = key.strip()
    if not scheme or not key:
        raise HeliconError(ErrorCode.UNAUTHORIZED, _WORDS["missing"])
    if scheme.lower() != "bearer":
        raise HeliconError(ErrorCode.UNAUTHORIZED, _WORDS["scheme"])
    return holder_of(key, accounts)


def holder_of(key: str, accounts: Accounts) -> KeyHolder:
    """Whom a key stands for, wherever it was sent.

    Raises:
        HeliconError: UNAUTHORIZED, it is not known.
    """
    holder = accounts.holder(key) if len(key) <= LONGEST_KEY else None
    if holder is None:
        raise HeliconError(ErrorCode.UNAUTHORIZED, _WORDS["unknown"])
    return holder
