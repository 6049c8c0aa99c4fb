"""The supervisor, on small parts: shell scripts that live, die, linger and leave children."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.launcher.backoff import Backoff
from services.launcher.child import Command
from services.launcher.console import Console
from services.launcher.errors import PartFailedError, WrongEnvironmentError
from services.launcher.stop_signals import StopRequestedError, StopWish, stop_signals
from services.launcher.supervisor import Part, Supervisor

LIVE = "echo up; exec sleep 60"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"
NEVER = 1e9


class Stage:
    """A supervisor, what it showed, and the wish that ends it."""

    def __init__(self) -> None:
        self.shown = io.BytesIO()
        self.wish = StopWish()
        self.supervisor = Supervisor(Console(self.shown, coloured=False), self.wish, lambda: Backoff(next_seconds=0.01))

    @property
    def text(self) -> str:
        return self.shown.getvalue().decode()

    def start(self, name: str, script: str, *, stop_seconds: float = 5, turn: int = 0) -> None:
        command = Command(("/bin/sh", "-c", script))
        self.supervisor.start(Part(name, lambda: command, stop_seconds, turn))

    def pid(self, name: str) -> int:
        child = next(kept.child for kept in self.supervisor._kept if kept.part.name == name)
        return child.pid if child else 0

    def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Look after the parts until the condition holds."""
        end = time.monotonic() + seconds

        def look() -> None:
            while not condition():
                assert time.monotonic() < end, f"not in time; shown so far: {self.text}"
                time.sleep(0.01)

        self.supervisor.beside(look)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.wish.hurry = True
    made.supervisor.stop()


def test_shows_what_a_part_says_on_both_streams(stage: Stage) -> None:
    stage.start("gateway", "echo out; echo err >&2; exec sleep 60")
    stage.until(lambda: "gateway  | out\n" in stage.text and "gateway  | err\n" in stage.text)


def test_a_part_runs_in_a_session_of_its_own(stage: Stage) -> None:
    stage.start("gateway", LIVE)
    pid = stage.pid("gateway")
    stage.until(lambda: "up" in stage.text)
    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
    assert os.getsid(pid) != os.getsid(0)


def test_starts_a_part_that_died_again_and_says_so(stage: Stage) -> None:
    stage.start("worker", LIVE)
    stage.until(lambda: "up" in stage.text)
    first = stage.pid("worker")
    os.kill(first, signal.SIGKILL)
    stage.until(lambda: stage.text.count("| up") == 2)
    assert stage.pid("worker") not in {0, first}
    assert "helicon  | worker: killed by signal 9; starting it again in 0.01 s\n" in stage.text


def test_a_part_that_says_that_it_cannot_run_so_is_not_tried_again(stage: Stage) -> None:
    command = Command(("/bin/sh", "-c", "exit 2"))
    stage.supervisor.start(Part("gateway", lambda: command, 5, 0, wrong_use=2))
    with pytest.raises(WrongEnvironmentError, match="gateway can't run with these settings"):
        stage.until(lambda: False)


def test_waits_longer_from_death_to_death(stage: Stage) -> None:
    stage.start("worker", "exit 3")
    stage.until(lambda: "ended with code 3; starting it again in 0.08 s" in stage.text)
    delays = [line.split(" in ")[1] for line in stage.text.splitlines()]
    assert delays[:4] == ["0.01 s", "0.02 s", "0.04 s", "0.08 s"]


def test_what_a_dead_part_left_of_its_group_is_ended(stage: Stage) -> None:
    stage.start("gateway", "sleep 60 & echo child=$!; wait")
    stage.until(lambda: "child=" in stage.text)
    orphan = int(stage.text.split("child=")[1].split()[0])
    os.kill(stage.pid("gateway"), signal.SIGKILL)
    stage.until(lambda: not alive(orphan))


def test_a_part_that_cannot_be_prepared_is_tried_again(stage: Stage) -> None:
    failures = iter([False, True, True])

    def prepare() -> Command:
        if next(failures, False):
            raise PartFailedError("the disk is full")
        return Command(("/bin/sh", "-c", LIVE))

    stage.supervisor.start(Part("postgres", prepare, 5, 0))
    os.kill(stage.pid("postgres"), signal.SIGKILL)
    stage.until(lambda: "starting it again in 0.04 s" in stage.text and stage.pid("postgres") != 0)
    assert stage.text.count("the disk is full") == 2


def test_stops_turn_by_turn(stage: Stage) -> None:
    last_word = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    for turn, name in enumerate(["gateway", "valkey", "postgres"]):
        stage.start(name, last_word, turn=turn)
    stage.until(lambda: stage.text.count("| up") == 3)
    stage.supervisor.stop()
    assert [line.split()[0] for line in stage.text.splitlines() if "bye" in line] == ["gateway", "valkey", "postgres"]


def test_sends_a_part_the_signal_that_it_wants(stage: Stage) -> None:
    script = "trap 'echo fast; exit 0' INT; echo up; while :; do sleep 0.02; done"
    command = Command(("/bin/sh", "-c", script), stop_signal=signal.SIGINT)
    stage.supervisor.start(Part("postgres", lambda: command, 5, 0))
    stage.until(lambda: "up" in stage.text)
    stage.supervisor.stop()
    assert "postgres | fast" in stage.text


def test_kills_what_does_not_end_in_its_time_with_all_its_children(stage: Stage) -> None:
    stage.start("worker", f"sleep 60 & echo child=$!; {STUBBORN}", stop_seconds=0.3)
    stage.until(lambda: "| up" in stage.text)
    pids = [stage.pid("worker"), int(stage.text.split("child=")[1].split()[0])]
    stage.supervisor.stop()
    assert not any(alive(pid) for pid in pids)
    assert "worker is killed: it was asked to end and did not within 0.3 s" in stage.text


def test_haste_shortens_the_end(stage: Stage) -> None:
    stage.start("worker", STUBBORN, stop_seconds=NEVER)
    stage.until(lambda: "| up" in stage.text)
    stage.wish.hurry = True
    start = time.monotonic()
    stage.supervisor.stop()
    assert time.monotonic() - start < 5


def test_parts_of_a_turn_share_their_time(stage: Stage) -> None:
    for number in range(4):
        stage.start(f"worker-{number}", STUBBORN, stop_seconds=0.5)
    stage.until(lambda: stage.text.count("| up") == 4)
    start = time.monotonic()
    stage.supervisor.stop()
    assert time.monotonic() - start < 1.5


def test_a_wish_to_stop_ends_every_wait(stage: Stage) -> None:
    stage.start("worker", LIVE)
    stage.wish.asked_at = 0
    waits = [
        stage.supervisor.keep,
        lambda: stage.supervisor.beside(threading.Event().wait),
        lambda: stage.start("demo", LIVE),
        lambda: stage.supervisor.start_and_await(Part("x", lambda: Command(("true",)), 1, 0), lambda _: False, NEVER),
    ]
    for wait in waits:
        with pytest.raises(StopRequestedError):
            wait()


def test_work_beside_returns_and_raises_as_if_done_here(stage: Stage) -> None:
    assert stage.supervisor.beside(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        stage.supervisor.beside(lambda: 1 // 0)


def test_a_server_that_ends_at_once_is_an_error(stage: Stage) -> None:
    part = Part("postgres", lambda: Command(("/bin/sh", "-c", "exit 1")), 1, 0)
    with pytest.raises(PartFailedError, match="postgres did not start: ended with code 1"):
        stage.supervisor.start_and_await(part, lambda _: False, NEVER)


def test_a_server_that_is_never_ready_is_an_error(stage: Stage) -> None:
    part = Part("postgres", lambda: Command(("/bin/sleep", "60")), 1, 0)
    with pytest.raises(PartFailedError, match=r"postgres was not ready within 0.1 s"):
        stage.supervisor.start_and_await(part, lambda _: False, 0.1)


def test_a_program_that_is_not_there_is_told(stage: Stage, tmp_path: Path) -> None:
    part = Part("valkey", lambda: Command((str(tmp_path / "nothing"),)), 1, 0)
    with pytest.raises(PartFailedError):
        stage.supervisor.start_and_await(part, lambda _: False, NEVER)
    stage.supervisor._console.drain(5)
    assert "nothing can't be run: No such file or directory" in stage.text


def test_signals_are_a_wish_and_a_later_one_is_haste() -> None:
    with stop_signals() as wish:
        signal.raise_signal(signal.SIGTERM)
        assert wish.asked_at is not None
        signal.raise_signal(signal.SIGINT)
        assert not wish.hurry
        wish.asked_at -= 2
        signal.raise_signal(signal.SIGINT)
        assert wish.hurry
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
