"""A call to a provider within its times, made again while it has said nothing. Knows no protocol and no HTTP."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from services.worker.providers.base import ChatPart, ChatProtocol, ChatRequest, Endpoint, Timeouts
from services.worker.providers.deadline import Deadline
from services.worker.providers.errors import ProviderError
from shared.contracts.jobs import Retries
from shared.domain.errors import ErrorCode

LONGEST_WAIT = 30.0
"""Seconds between two tries at most. A vendor that wants a longer pause is not asked again: the client is told."""

_MOST_DOUBLINGS = 20

log = structlog.get_logger()


async def stream_with_retries(
    protocol: ChatProtocol,
    endpoint: Endpoint,
    request: ChatRequest,
    retries: Retries,
    timeouts: Timeouts,
    *,
    jitter: Callable[[], float] = random.random,
) -> AsyncGenerator[ChatPart]:
    """Ask until an answer begins, and give its parts as they come.

    Cancelling the task that waits here closes the vendor's connection. Who may leave early wraps it in `aclosing`.
    Times are the running loop's.

    Args:
        protocol: how the vendor is asked.
        endpoint: where.
        request: what.
        retries: how often again, and after how many seconds (doubled each time, spread by a quarter either way).
        timeouts: to the first token (of each try), between tokens, and of all tries together.
        jitter: a number from 0 to 1, by which the pauses are spread.

    Raises:
        ProviderError: the last try failed, or the answer broke off.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeouts.answer
    pauses = _Pauses(retries, jitter)
    while True:
        said = False
        try:
            async with aclosing(_in_time(protocol.stream(endpoint, request), endpoint, timeouts, ends_at)) as batches:
                async for batch in batches:
                    for part in batch:
                        said = True
                        yield part
        except ProviderError as error:
            error.retryable = error.retryable and not said
            pause = None if said else pauses.after(error)
            if pause is None or loop.time() + pause >= ends_at:
                raise
            log.warning("provider.retry", provider=endpoint.provider, code=error.code, pause=round(pause, 3))
        else:
            return
        await asyncio.sleep(pause)


class _Pauses:
    """How long to wait before each further try."""

    def __init__(self, retries: Retries, jitter: Callable[[], float]) -> None:
        self._retries = retries
        self._jitter = jitter
        self._tries = 0
        self._tried_at_once = False

    def after(self, error: ProviderError) -> float | None:
        """Seconds to wait after this failure; None: give up."""
        if error.at_once:
            first, self._tried_at_once = not self._tried_at_once, True
            return 0.0 if first else None
        asked = error.retry_after or 0.0
        if not error.retryable or self._tries >= self._retries.times or asked > LONGEST_WAIT:
            return None
        pause = self._retries.interval * 2 ** min(self._tries, _MOST_DOUBLINGS) * (0.75 + self._jitter() / 2)
        self._tries += 1
        return min(asked + pause, LONGEST_WAIT)


async def _in_time(
    batches: AsyncGenerator[Sequence[ChatPart]], endpoint: Endpoint, timeouts: Timeouts, ends_at: float
) -> AsyncGenerator[Sequence[ChatPart]]:
    """The batches of one try, each within its time. Only the waiting for the vendor counts, not for who listens."""
    loop = asyncio.get_running_loop()
    deadline = Deadline()
    began = False
    try:
        async with aclosing(batches):
            deadline.watch(min(loop.time() + timeouts.first_token, ends_at))
            async for batch in batches:
                deadline.rest()
                began = True
                if batch:
                    yield batch
                deadline.watch(min(loop.time() + timeouts.next_token, ends_at))
    except asyncio.CancelledError as cancelled:
        if not deadline.passed():
            raise
        words = _too_slow(began=began, timeouts=timeouts, over=loop.time() >= ends_at)
        raise ProviderError(ErrorCode.PROVIDER_FAILED, f"{endpoint.provider} {words}.") from cancelled
    finally:
        deadline.close()


def _too_slow(*, began: bool, timeouts: Timeouts, over: bool) -> str:
    if over:
        return f"took longer than {timeouts.answer:g} s"
    if began:
        return f"stopped sending for {timeouts.next_token:g} s"
    return f"did not answer within {timeouts.first_token:g} s"
