"""The worker's one event loop: it runs in a thread of its own, and Celery's threads hand it their coroutines."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Self, TypeVar

import uvloop

T = TypeVar("T")

AGAIN_SECONDS = 0.5
"""How long a task may take to end before it is cancelled again."""


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until all have ended.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which redis-py uses, swallows a cancellation that comes
    together with what is waited for.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)


class LoopThread:
    """An event loop in a background thread. Use as a context manager."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` on the loop and wait for it; what it raises is raised here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, function: Callable[[], None]) -> None:
        """Call `function` on the loop, after what was handed over before, and don't wait for it."""
        self._loop.call_soon_threadsafe(function)

    @contextmanager
    def entered(self, resource: AbstractAsyncContextManager[T], on_crash: Callable[[], None]) -> Generator[T]:
        """Enter `resource` on the loop and leave it there, both in one task.

        Args:
            resource: whose `__aenter__` gives what the caller works with.
            on_crash: is called when the resource ends before it is left.
        """
        leave = asyncio.Event()
        entered: Future[T] = Future()

        async def hold() -> None:
            async with resource as value:
                entered.set_result(value)
                await leave.wait()

        def ended(held: Future[None]) -> None:
            if not entered.done():
                entered.set_exception(held.exception() or RuntimeError("the resource was left before it was entered"))
            elif not leave.is_set():
                on_crash()

        holding = asyncio.run_coroutine_threadsafe(hold(), self._loop)
        holding.add_done_callback(ended)
        try:
            yield entered.result()
        finally:
            self._loop.call_soon_threadsafe(leave.set)
            holding.result()
