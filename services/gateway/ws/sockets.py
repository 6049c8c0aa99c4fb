"""All sockets of a gateway's process: one clock for them, and how they end when it leaves."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import gevent

from services.gateway.ws.session import Session

TICK_SECONDS = 0.5
LAST_SECONDS = 1
"""How long before the end of the drain the last sockets are closed: gunicorn kills at the end, not after it."""


class Sockets:
    """The sessions that are open.

    `is_leaving` says whether the process was asked to end; whoever serves the application sets it.

    Args:
        drain_seconds: how long requests that are under way may then go on.
    """

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = max(0, drain_seconds - LAST_SECONDS)
        self._sessions: set[Session] = set()
        self._left_at: float | None = None
        self.is_leaving: Callable[[], bool] = lambda: False

    def start(self) -> None:
        """Look after the sessions as long as the process runs."""
        gevent.spawn(self._tick_forever)

    @contextmanager
    def holding(self, session: Session) -> Generator[None]:
        """Look after a session."""
        self._sessions.add(session)
        try:
            yield
        finally:
            self._sessions.discard(session)

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(TICK_SECONDS)
            now = time.monotonic()
            if self.is_leaving():
                self._leave(now)
            for session in list(self._sessions):
                session.tick(now)

    def _leave(self, now: float) -> None:
        self._left_at = self._left_at or now
        for session in list(self._sessions):
            session.leave(at_once=now - self._left_at >= self._drain_seconds)
