"""Keeps parts running: starts them, shows what they say, starts again what dies, and stops all in order.

It lives in the main thread, because its children end with the thread that started them.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from services.launcher.backoff import Backoff
from services.launcher.child import Child, Command
from services.launcher.console import Console
from services.launcher.errors import LauncherError, PartFailedError, WrongEnvironmentError
from services.launcher.stop_signals import StopRequestedError, StopWish

TICK_SECONDS = 0.05
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Something to keep running.

    Args:
        name: what stands in front of its lines.
        prepare: called before each start; says how it is run.
        stop_seconds: how long it may take to end when asked.
        stop_turn: parts of the lowest turn are stopped first, together.
        wrong_use: the exit code by which it says that it can't run with these settings, however often it is started.
    """

    name: str
    prepare: Callable[[], Command]
    stop_seconds: float
    stop_turn: int
    wrong_use: int | None = None


@dataclass
class _Kept:
    part: Part
    backoff: Backoff
    child: Child | None = None
    started_at: float = 0
    start_again_at: float = 0


class Supervisor:
    """The parts that run, and the wish that they end.

    Every method but `stop` may raise WrongEnvironmentError: a part says that it can't run here.

    Args:
        console: where their lines go.
        wish: checked all the time; every method but `stop` raises StopRequestedError once it is there.
        make_backoff: makes the waits of a part that dies.
    """

    def __init__(self, console: Console, wish: StopWish, make_backoff: Callable[[], Backoff] = Backoff) -> None:
        self._console = console
        self._wish = wish
        self._make_backoff = make_backoff
        self._kept: list[_Kept] = []

    def start(self, part: Part) -> None:
        """Run a part, and from now on keep it running."""
        self._check_wish()
        kept = _Kept(part, self._make_backoff())
        self._run(kept)
        self._kept.append(kept)

    def start_and_await(self, part: Part, is_ready: Callable[[int], bool], seconds: float) -> None:
        """Run a part and wait until it is ready.

        Args:
            part: to run; it is not started again before it was ready once.
            is_ready: told the part's process id.
            seconds: how long it may take.

        Raises:
            PartFailedError: it ended, or was not ready in time.
        """
        self.start(part)
        child = self._kept[-1].child
        end = time.monotonic() + seconds
        while child is not None and not is_ready(child.pid):
            if (code := child.exit_code()) is not None:
                raise PartFailedError(f"{part.name} did not start: {_ending(code)}; its last lines above say why")
            if time.monotonic() > end:
                raise PartFailedError(f"{part.name} was not ready within {seconds:g} s")
            self._check_wish()
            time.sleep(TICK_SECONDS / 5)

    def beside(self, work: Callable[[], T]) -> T:
        """Do something that takes its time, in a thread, and look after the parts meanwhile."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - not swallowed: `future.result()` raises it
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        while not future.done():
            self._tick()
        return future.result()

    def keep(self) -> None:
        """Look after the parts until the end is wanted."""
        while True:
            self._tick()

    def stop(self) -> None:
        """End all parts, turn by turn; what does not end when asked is killed."""
        for turn in sorted({kept.part.stop_turn for kept in self._kept}):
            self._stop_together([kept for kept in self._kept if kept.part.stop_turn == turn])
        self._kept.clear()
        self._console.drain(1)

    def _tick(self) -> None:
        self._check_wish()
        for kept in self._kept:
            if kept.child is None and time.monotonic() >= kept.start_again_at:
                self._start_again(kept)
            elif kept.child is not None and (code := kept.child.exit_code()) is not None:
                kept.child.kill()  # what it left of its group may still hold its port
                kept.child = None
                if code == kept.part.wrong_use:
                    raise WrongEnvironmentError(
                        f"{kept.part.name} can't run with these settings; its last line says why"
                    )
                self._plan_start(kept, _ending(code))
        time.sleep(TICK_SECONDS)

    def _check_wish(self) -> None:
        if self._wish.asked_at is not None:
            raise StopRequestedError

    def _start_again(self, kept: _Kept) -> None:
        try:
            self._run(kept)
        except LauncherError as error:
            self._plan_start(kept, str(error))

    def _run(self, kept: _Kept) -> None:
        command = kept.part.prepare()
        kept.child = Child(command, subprocess.PIPE)
        kept.started_at = time.monotonic()
        if kept.child.output:
            self._console.follow(kept.part.name, kept.child.output)

    def _plan_start(self, kept: _Kept, what_happened: str) -> None:
        now = time.monotonic()
        delay = kept.backoff.delay_after(now - kept.started_at)
        kept.start_again_at = now + delay
        self._console.note(f"{kept.part.name}: {what_happened}; starting it again in {delay:g} s")

    def _stop_together(self, stopping: list[_Kept]) -> None:
        children = {kept.part.name: (kept.child, kept.part.stop_seconds) for kept in stopping if kept.child}
        for child, _ in children.values():
            child.ask_to_stop()
        start = time.monotonic()
        for name, (child, seconds) in children.items():
            while not child.wait(TICK_SECONDS):
                if self._wish.hurry or time.monotonic() > start + seconds:
                    self._console.note(
                        f"{name} is killed: it was asked to end and did not within {time.monotonic() - start:.1f} s"
                    )
                    break
            child.kill()


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
