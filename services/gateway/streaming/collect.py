"""A run's answer as a whole, for those who do not stream."""

from collections.abc import Iterator
from dataclasses import dataclass

import gevent

from services.gateway.streaming.frames import known_code
from services.gateway.streaming.runstream import Numbered
from shared.contracts.events import Closed, Failed, Finished, Replaced, Text, Usage
from shared.domain.errors import ErrorCode, HeliconError


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer, and what it cost."""

    text: str
    usage: Usage


def collect(batches: Iterator[list[Numbered]], seconds: float) -> Answer:
    """Wait for the end of a run.

    Args:
        batches: its events.
        seconds: longest wait.

    Raises:
        HeliconError: what the run failed with; BLOCKING_TIMEOUT, it goes on and is saved; EVENTS_UNAVAILABLE, it
            could not be followed to its end.
    """
    try:
        with gevent.Timeout(seconds):  # itself, and no error of ours, which somebody on the way might catch
            return _collect(batches)
    except gevent.Timeout:
        raise HeliconError(
            ErrorCode.BLOCKING_TIMEOUT,
            f"The answer takes longer than {seconds:g} s; it goes on and is saved. Use response_mode streaming.",
        ) from None


def _collect(batches: Iterator[list[Numbered]]) -> Answer:
    texts: list[str] = []
    for batch in batches:
        for _, event in batch:
            match event:
                case Text(text):
                    texts.append(text)
                case Replaced(text):
                    texts = [text]
                case Finished(usage):
                    return Answer("".join(texts), usage)
                case Failed(code, message):
                    raise HeliconError(known_code(code), message)
                case Closed():
                    break
    raise HeliconError(ErrorCode.EVENTS_UNAVAILABLE, "The answer's events ended before the answer; it is saved.")
