"""Processes that the launcher starts: each in a session of its own, and none outlives the launcher.

Start them from a thread that lives as long as they do (the main one): Linux sends the signal of an orphan when the
parent's *thread* ends.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.launcher import exec_child


@dataclass(frozen=True)
class Account:
    """A user of the machine as whom a process runs."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """A program to run.

    Args:
        arguments: the program and what it is given.
        environ: its whole environment; None: ours.
        folder: where it runs; None: here.
        account: as whom it runs; None: as we do.
        stop_signal: what asks it to end.
        orphan_signal: what it gets when the launcher dies without a word (Linux).
    """

    arguments: tuple[str, ...]
    environ: Mapping[str, str] | None = None
    folder: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL

    @property
    def wrapped(self) -> list[str]:
        """The arguments behind the step that ties the process to this one."""
        uid, gid = (self.account.uid, self.account.gid) if self.account else (-1, -1)
        ties = [str(number) for number in (os.getpid(), int(self.orphan_signal), uid, gid)]
        return [sys.executable, "-I", "-S", str(exec_child.__file__), *ties, *self.arguments]


class Child:
    """A started process, with all that is in its process group."""

    def __init__(self, command: Command, output: int | IO[bytes]) -> None:
        self._command = command
        self._process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            command.wrapped,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=command.folder,
            env=command.environ,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process's id, which is its group's and session's too."""
        return self._process.pid

    @property
    def output(self) -> IO[bytes] | None:
        """What it writes, when it was started with a pipe."""
        return self._process.stdout

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Send the stop signal, to the process alone: what it started is its own to end."""
        self._process.send_signal(self._command.stop_signal)

    def wait(self, seconds: float) -> bool:
        """Whether it ends within this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the whole group at once."""
        with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds: float) -> bool:
        """Ask it to end, and end it after this time; whether asking was enough."""
        self.ask_to_stop()
        asked = self.wait(seconds)
        self.kill()
        return asked


def run_to_end(command: Command, *, text: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program, give it `text` to read, and return its code with all that it said.

    Raises:
        subprocess.TimeoutExpired: it took longer; it was killed.
    """
    return subprocess.run(  # noqa: S603 - the arguments are ours
        command.wrapped,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=command.folder,
        env=command.environ,
        timeout=seconds,
        check=False,
        start_new_session=True,
    )
