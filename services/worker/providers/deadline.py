"""One timer for all the waits of a call: it is armed once and then asks, when it rings, whether time is really up.

`asyncio.timeout` around each read costs some microseconds per token; this costs the setting of two attributes.
"""

import asyncio


class Deadline:
    """Cancels the task that waits when its time is up, as `asyncio.timeout` does, but for many waits in turn.

    `watch` before a wait, `rest` after it, `close` in the end; on `CancelledError` ask `passed`. While it rests it does
    nothing, so it may rest while an async generator has yielded. For the running loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._at = 0.0
        self._cancelling = 0
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False

    def watch(self, at: float) -> None:
        """The current task begins to wait, to `at` at the latest (the loop's clock, seconds)."""
        self._at = at
        self._task = task = asyncio.current_task()
        if task is not None:
            self._cancelling = task.cancelling()
        if self._timer is None or at < self._timer.when():
            self._arm()

    def rest(self) -> None:
        """The wait is over."""
        self._task = None

    def close(self) -> None:
        """Forget the timer."""
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def passed(self) -> bool:
        """Whether the `CancelledError` at hand is this deadline's own; it is taken back then. Ask once."""
        task = asyncio.current_task()
        return self._expired and task is not None and task.uncancel() <= self._cancelling

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._at:
            self._arm()
            return
        self._expired = True
        self._task.cancel()
