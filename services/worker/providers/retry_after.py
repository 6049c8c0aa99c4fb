"""How long a vendor asks us to wait before the next try. Pure but for the clock, which is passed in."""

import math
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Read the wait out of an answer's headers, seconds; None if they say nothing that makes sense.

    `retry-after-ms` (OpenAI's own) goes before `Retry-After`, which is seconds or a date (RFC 9110, section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        date = _date(value)
        seconds = date - now() if date is not None else None
    return max(seconds, 0.0) if seconds is not None else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
