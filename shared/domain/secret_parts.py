"""Secrets inside texts that are not secret as a whole: in URLs, and in the arguments of programs.

In a URL: the password (or all that stands for a user, where there is none) and every value of the query. In an
argument: what a telling name like `--api-key` announces, and the secrets of URLs. Any other secret in an argument can't
be told from what is none: it belongs into a variable.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from shared.domain.secrets import is_mask, mask

_CREDENTIALS = re.compile(r"://(?:[^/?#:]*:)?([^/?#]*)@")
_QUERY = re.compile(r"[?&#](?:[^=?&#]*=)?([^?&#]*)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://\S*")
_TELLING = re.compile(r"key|token|secret|passw|pwd|auth|credential|cookie|signature", re.IGNORECASE)
_NAMED = re.compile(r"-{0,2}([\w.-]{1,100})\s*[=:]\s*(.+)", re.DOTALL)


def is_telling(name: str) -> bool:
    """Whether a name says that a secret stands there."""
    return bool(_TELLING.search(name))


def secrets_of_url(url: str) -> list[slice]:
    """Where the secrets of a URL stand."""
    found = (*_CREDENTIALS.finditer(url), *_QUERY.finditer(url))
    return [slice(*part.span(1)) for part in found if part[1]]


def secrets_of_arguments(arguments: Sequence[str]) -> list[list[slice]]:
    """Where the secrets of a program's arguments stand, for each of them."""
    return [_secrets_of_argument(argument, before) for before, argument in pairwise(["", *arguments])]


def mask_parts(text: str, parts: Iterable[slice]) -> str:
    """The text as it may be shown."""
    for part in sorted(parts, key=lambda part: part.start, reverse=True):
        text = text[: part.start] + mask(text[part]) + text[part.stop :]
    return text


def has_mask(text: str, parts: Iterable[slice]) -> bool:
    """Whether one of the parts is masked already."""
    return any(is_mask(text[part]) for part in parts)


def _secrets_of_argument(argument: str, before: str) -> list[slice]:
    announced = before.startswith("-") and "=" not in before and not argument.startswith("-")
    if announced and _TELLING.search(before):
        return [slice(0, len(argument))]
    if argument.startswith(("{", "[", '"')) and _TELLING.search(argument):  # JSON
        return [slice(0, len(argument))]
    named = _NAMED.fullmatch(argument)
    if named and _TELLING.search(named[1]):
        return [slice(*named.span(2))]
    return [
        slice(url.start() + part.start, url.start() + part.stop)
        for url in _URL.finditer(argument)
        for part in secrets_of_url(url[0])
    ]
