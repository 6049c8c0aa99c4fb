"""`helicon up` as a process that tests start, watch and end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

ENTRY = (sys.executable, "-m", "services.launcher")


class LaunchedUp:
    """A `helicon up` on a folder, with all that it started.

    Args:
        data: its folder.
        flags: further flags.
        entry: the program, in place of `helicon`.
        environ: variables beside ours; `HELICON_*` and providers' keys of the machine are not handed on.
    """

    def __init__(
        self,
        data: Path,
        *flags: str,
        entry: Sequence[str] = ENTRY,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        kept = {name: value for name, value in os.environ.items() if not _decides(name)}
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            # Under nohup a closed terminal is ignored, and so is SIGHUP; here it is to be heard.
            ["/usr/bin/env", "--default-signal=HUP", *entry, "up", "--data", str(data), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**kept, **(environ or {})},
            text=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._seen: dict[int, psutil.Process] = {}
        pairs = ((self._process.stdout, self.lines), (self._process.stderr, self.errors))
        self._readers = [threading.Thread(target=lines.extend, args=(stream,)) for stream, lines in pairs if stream]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        self._process.wait(20)
        for reader in self._readers:
            reader.join(20)
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()

    @property
    def text(self) -> str:
        """All that was shown."""
        return "".join(self.lines)

    @property
    def credentials(self) -> dict[str, str]:
        """What `credentials.json` says."""
        return json.loads((self.data / "credentials.json").read_text())

    @property
    def runtime(self) -> dict[str, Any]:
        """What `runtime.json` says."""
        return json.loads((self.data / "runtime.json").read_text())

    def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait for a condition, with a bound, as long as the process runs."""
        end = time.monotonic() + seconds
        while not condition():
            shown = f"{self.text}{''.join(self.errors)}"
            assert self._process.poll() is None, f"ended with {self._process.returncode}: {shown}"
            assert time.monotonic() < end, f"not within {seconds} s: {shown}"
            time.sleep(0.02)

    def until_ready(self) -> float:
        """Wait for the welcome; returns the seconds since the start."""
        self.until(lambda: "A first chat:" in self.text, 90)
        took = time.monotonic() - self.started_at
        self.processes()
        return took

    def processes(self) -> list[psutil.Process]:
        """The processes below it now; they are remembered."""
        below = psutil.Process(self._process.pid).children(recursive=True)
        self._seen |= {process.pid: process for process in below}
        return below

    def commands(self) -> list[str]:
        """Their command lines."""
        return [_command(process) for process in self.processes()]

    def find(self, *words: str) -> psutil.Process:
        """The part whose command line has all these words: the first of its family."""
        found = [process for process in self.processes() if all(word in _command(process) for word in words)]
        assert found, f"no process {words} in {self.commands()}"
        return min(found, key=lambda process: process.create_time())

    def left(self) -> list[str]:
        """Command lines of what it started and is still alive."""
        return [_command(process) for process in self._seen.values() if _is_alive(process)]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float = 15) -> int:
        """Its exit code."""
        return self._process.wait(seconds)

    def kill_all(self) -> None:
        """End it and all that it started as a power cut would."""
        if self._process.poll() is None:
            self.processes()
            self._process.kill()
        for process in self._seen.values():
            if _is_alive(process):
                process.kill()


def _decides(name: str) -> bool:
    return name.startswith("HELICON_") or name.endswith(("_API_KEY", "_BASE_URL"))


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
