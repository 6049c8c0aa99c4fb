"""Ctrl-C, SIGTERM and a closed terminal, as a wish that is looked at rather than an exception out of the blue."""

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SAME_WISH_SECONDS = 1.0
"""A terminal and a wrapper like make may each send a signal for one Ctrl-C."""


class StopRequestedError(Exception):
    """Somebody wants everything to end; what was being waited for is given up."""


@dataclass
class StopWish:
    """Whether the end is wanted (`asked_at` is not None), and whether at once (`hurry`)."""

    asked_at: float | None = None
    hurry: bool = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """A signal came: the first asks for the end, a later one for haste."""
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
        elif now - self.asked_at > SAME_WISH_SECONDS:
            self.hurry = True


@contextmanager
def stop_signals() -> Generator[StopWish]:
    """Collect the signals that ask for the end; main thread only."""
    wish = StopWish()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, wish.note) for number in numbers}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
