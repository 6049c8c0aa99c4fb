"""Types of the live settings' fields: what is taken for a value, and which values hold secrets."""

from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, BeforeValidator, Field

SECRET: dict[str, Any] = {"secret": "whole"}
"""Marks a field that is masked wherever it is shown, and sealed where it is stored."""
SECRET_PARTS: dict[str, Any] = {"secret": "parts"}
"""Marks a URL, of which password and query are masked wherever it is shown; it is sealed where it is stored."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL character")
    return text


def _usable_key(text: str) -> str:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("holds characters that no key has")
    return key


def _http_url(text: str) -> str:
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # also a port that is none
        usable = False
    if text and not (usable and text.isprintable() and " " not in text):
        raise ValueError("must be a URL like http://host:port")
    return text


def _listed(value: object) -> object:
    """Take `a,b`, a JSON list as text, one number, and null for a list."""
    if value is None:
        return ()
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return split_list(value) if isinstance(value, str) else value


def split_list(text: str) -> list[object]:
    """The items of `a,b`, or of a list in JSON: for items that have commas, or blanks at their ends."""
    if text.lstrip().startswith("["):
        try:
            return cast("list[object]", orjson.loads(text))
        except orjson.JSONDecodeError:
            pass  # an item that begins with a bracket
    return [item.strip() for item in text.split(",")]


def join_list(items: list[str]) -> str:
    """The text that `split_list` makes these items of."""
    text = ",".join(items)
    return text if split_list(text) == items else orjson.dumps(items).decode()


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _without_empty(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item for item in items if item)


Text = Annotated[str, AfterValidator(_no_nul)]
"""A text that Postgres can keep."""
Key = Annotated[str, Field(max_length=4096), AfterValidator(_usable_key)]
"""A vendor's key; blanks around it are dropped."""
HttpUrl = Annotated[Text, Field(max_length=2048), AfterValidator(_http_url)]
"""A URL that can be called, or ""."""
Item = Annotated[Text, Field(max_length=255), BeforeValidator(_number_as_text)]
"""One of a list; a whole number is its digits."""
TextList = Annotated[tuple[Item, ...], BeforeValidator(_listed), AfterValidator(_without_empty)]
"""A list of texts, however it is written; empty items are dropped."""
