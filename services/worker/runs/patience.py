"""Trying again while Postgres or Redis is away: a restart of theirs must not cost a run its answer."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from shared.domain.errors import ErrorCode, HeliconError

log = structlog.get_logger()

T = TypeVar("T")

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0
_AWAY = {ErrorCode.DATABASE_READ_FAILED, ErrorCode.DATABASE_WRITE_FAILED, ErrorCode.EVENTS_UNAVAILABLE}


def persistently(work: Callable[[], T], seconds: float) -> T:
    """Do `work`, again and again while what it needs is away, for `seconds` at most.

    Raises:
        HeliconError: it is still away; any other than that of what is away comes at once.
    """
    deadline = time.monotonic() + seconds
    backoff = FIRST_BACKOFF
    while True:
        try:
            return work()
        except HeliconError as error:
            if error.code not in _AWAY or time.monotonic() > deadline:
                raise
            log.warning("run.try_again", error=error.message)
        time.sleep(backoff)
        backoff = min(backoff * 2, LONGEST_BACKOFF)
