"""Tries and times of a call, with a protocol that does what a test says and a clock that jumps."""

import asyncio
from contextlib import aclosing

import pytest
from virtual_time import run

from services.worker.providers.base import ChatRequest, Endpoint, TextDelta, Timeouts, UsageReport
from services.worker.providers.errors import ProviderError
from services.worker.providers.retry import stream_with_retries
from shared.contracts.jobs import Retries, Sampling
from shared.domain.errors import ErrorCode

ENDPOINT = Endpoint("acme", "https://acme.test", "")
REQUEST = ChatRequest("m", (), 10, Sampling())
TIMEOUTS = Timeouts(connect=10, first_token=60, next_token=50, answer=900)
HELLO, WORLD, USAGE = TextDelta("hello"), TextDelta(" world"), UsageReport(1, 2)
FOREVER = 10**6
RETRIES = Retries(times=3, interval=0.1)


def failure(*, retryable=True, retry_after=None, at_once=False):
    return ProviderError(ErrorCode.PROVIDER_FAILED, "no", retryable=retryable, retry_after=retry_after, at_once=at_once)


class Script:
    """A protocol whose tries are pauses (seconds), batches and failures; it notes when each began and ended."""

    def __init__(self, *tries):
        self.tries = list(tries)
        self.began = []
        self.closed = []

    async def stream(self, _endpoint, _request):
        loop = asyncio.get_running_loop()
        self.began.append(round(loop.time(), 3))
        try:
            for step in self.tries.pop(0):
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                elif isinstance(step, ProviderError):
                    raise step
                else:
                    yield step
        finally:
            self.closed.append(round(loop.time(), 3))


async def listen(script, retries=RETRIES, timeouts=TIMEOUTS, pause=0):
    """What was heard, and how it failed."""
    heard = []
    parts = stream_with_retries(script, ENDPOINT, REQUEST, retries, timeouts, jitter=lambda: 0.5)
    try:
        async with aclosing(parts):
            async for part in parts:
                heard.append(part)
                await asyncio.sleep(pause)
    except ProviderError as error:
        return heard, error
    return heard, None


def test_parts_come_in_order_across_batches():
    script = Script([(HELLO, WORLD), (), (USAGE,)])
    assert run(listen(script)) == ([HELLO, WORLD, USAGE], None)
    assert script.closed == [0]


def test_tries_are_spread_over_doubled_pauses():
    script = Script([failure()], [failure()], [failure()], [(HELLO,)])
    assert run(listen(script)) == ([HELLO], None)
    assert script.began == [0, 0.1, 0.3, 0.7]


def test_the_last_failure_is_told():
    last = failure()
    script = Script([failure()], [failure()], [last])
    assert run(listen(script, Retries(times=2))) == ([], last)


def test_a_vendor_that_asks_for_time_gets_it():
    script = Script([failure(retry_after=7)], [(HELLO,)])
    assert run(listen(script)) == ([HELLO], None)
    assert script.began == [0, 7.1]


def test_a_vendor_that_asks_for_too_much_time_is_not_asked_again():
    script = Script([failure(retry_after=31)])
    _, error = run(listen(script))
    assert (error.retry_after, script.began) == (31, [0])


@pytest.mark.parametrize("times", [40, 2000])
def test_pauses_do_not_grow_without_end(times):
    script = Script(*[[failure()]] * (times + 1))
    run(listen(script, Retries(times=times), Timeouts(answer=FOREVER)))
    assert script.began[-1] - script.began[-2] == pytest.approx(30)


def test_nothing_is_asked_again_that_can_not_succeed():
    script = Script([failure(retryable=False)])
    assert run(listen(script))[1].message == "no"
    assert script.began == [0]


def test_nothing_is_asked_again_once_something_was_said():
    script = Script([(HELLO,), failure()])
    heard, error = run(listen(script))
    assert (heard, error.message, error.retryable, script.began) == ([HELLO], "no", False, [0])


def test_a_sign_of_life_is_not_something_said():
    script = Script([(), failure()], [(HELLO,)])
    assert run(listen(script)) == ([HELLO], None)


def test_a_connection_closed_before_an_answer_is_tried_once_more_at_once_without_counting():
    script = Script([failure(at_once=True, retryable=False)], [failure()], [(HELLO,)])
    assert run(listen(script, Retries(times=1))) == ([HELLO], None)
    assert script.began == [0, 0, 0.1]


def test_a_connection_closed_before_an_answer_twice_is_given_up():
    closed = failure(at_once=True, retryable=False)
    script = Script([failure(at_once=True, retryable=False)], [closed])
    assert run(listen(script)) == ([], closed)


def test_a_try_is_not_begun_that_would_begin_after_the_end():
    script = Script([failure(retry_after=20)])
    _, error = run(listen(script, timeouts=Timeouts(answer=20)))
    assert (error.message, script.began) == ("no", [0])


@pytest.mark.parametrize(
    ("tries", "heard", "words", "closed"),
    [
        ([FOREVER], [], "acme did not answer within 60 s.", 60),
        ([(HELLO,), FOREVER], [HELLO], "acme stopped sending for 50 s.", 50),
        ([55, (HELLO,), 45, (), 45, (WORLD,), FOREVER], [HELLO, WORLD], "acme stopped sending for 50 s.", 195),
        ([*[(HELLO,), 40] * 30], [HELLO] * 23, "acme took longer than 900 s.", 900),
    ],
)
def test_each_wait_has_its_bound_and_says_so(tries, heard, words, closed):
    script = Script(tries)
    said, error = run(listen(script))
    assert (said, error.message, error.code, error.retryable) == (heard, words, ErrorCode.PROVIDER_FAILED, False)
    assert script.closed == [closed]


def test_all_tries_together_have_one_bound():
    script = Script([50, failure()], [FOREVER])
    _, error = run(listen(script, timeouts=Timeouts(answer=100)))
    assert (error.message, script.closed) == ("acme took longer than 100 s.", [50, 100])


def test_a_slow_listener_is_not_the_vendors_fault():
    script = Script([(HELLO,), (HELLO,), (HELLO,)])
    assert run(listen(script, pause=200)) == ([HELLO] * 3, None)


def test_the_task_is_not_left_cancelled_after_a_timeout():
    async def ask():
        await listen(Script([FOREVER]))
        await asyncio.sleep(1)
        return asyncio.current_task().cancelling()

    assert run(ask()) == 0


@pytest.mark.parametrize("tries", [[FOREVER], [(HELLO,), FOREVER]])
def test_a_cancelled_task_closes_the_call_at_once(tries):
    script = Script(tries)

    async def ask():
        task = asyncio.ensure_future(listen(script))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(ask())
    assert script.closed == [5]


def test_a_task_that_is_cancelled_when_its_time_is_up_stays_cancelled():
    async def ask():
        task = asyncio.ensure_future(listen(Script([FOREVER])))
        asyncio.get_running_loop().call_at(60, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(ask())


def test_a_timeout_around_the_call_is_the_callers_own():
    async def ask():
        async with asyncio.timeout(10):
            await listen(Script([FOREVER]))

    with pytest.raises(TimeoutError):
        run(ask())


def test_who_leaves_early_closes_the_call():
    script = Script([(HELLO,), FOREVER])

    async def ask():
        async with aclosing(stream_with_retries(script, ENDPOINT, REQUEST, RETRIES, TIMEOUTS)) as parts:
            async for _ in parts:
                break

    run(ask())
    assert script.closed == [0]


def test_a_cancelled_pause_asks_no_more():
    script = Script([failure(retry_after=20)])

    async def ask():
        task = asyncio.ensure_future(listen(script))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(ask())
    assert script.began == [0]
