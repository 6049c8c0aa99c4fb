"""A system that is measured: where it listens, how it is asked, and which processes are its own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.connection import Address
from bench.wires import Answer, Wire

LOOPBACK = "127.0.0.1"
END_SECONDS = 30


class UnavailableError(Exception):
    """A system that can't be installed or started here; the message says why, in a line."""


@dataclass(frozen=True)
class System:
    """A running system.

    Args:
        name: in tables.
        version: of it.
        address: where it listens.
        wire: how it is asked.
        headers: what a question for an answer needs beside.
        roots: processes that it consists of, with all below them.
        counted: whether its processes are worth counting; the demo upstream's are everybody's.
    """

    name: str
    version: str
    address: Address
    wire: Wire
    headers: Callable[[Answer], Mapping[str, str]]
    roots: tuple[int, ...]
    counted: bool = True

    def request(self, answer: Answer, lane: int) -> bytes:
        """The bytes that ask for an answer."""
        return self.wire.request(self.address, self.headers(answer), self.wire.question(answer, lane))


@dataclass(frozen=True)
class Program:
    """A command that serves until it is ended; what it says goes into `log`."""

    arguments: tuple[str, ...]
    log: Path
    environ: Mapping[str, str]
    folder: Path | None = None

    @contextlib.contextmanager
    def running(self, is_ready: Callable[[], bool], seconds: float) -> Generator[int]:
        """Run it until the block ends, from when it is ready on: its process id.

        Raises:
            UnavailableError: it ended, or was not ready in time.
        """
        with self.log.open("wb") as log:
            try:
                process = subprocess.Popen(  # noqa: S603 - the arguments are ours
                    self.arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env={**_own_environ(), **self.environ},
                    start_new_session=True,
                )
            except OSError as error:
                raise UnavailableError(f"{self.arguments[0]}: {error.strerror}") from error
        try:
            self._await(process, is_ready, seconds)
            yield process.pid
        finally:
            _end(process)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace").strip()[-500:]

    def _await(self, process: subprocess.Popen[bytes], is_ready: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not is_ready():
            if process.poll() is not None:
                raise UnavailableError(f"ended with {process.returncode}: {self.said()}")
            if time.monotonic() > end:
                raise UnavailableError(f"not ready within {seconds:g} s: {self.said()}")
            time.sleep(0.05)


def free_address() -> Address:
    """An address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return Address(LOOPBACK, listener.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a server says that all is well there."""
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def _own_environ() -> dict[str, str]:
    """Our environment without what would tell Helicon, or a peer, to do something else."""
    told = ("HELICON_", "LITELLM_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(told) and not name.endswith(("_API_KEY", "_BASE_URL"))
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; after a while end all that it started too."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
