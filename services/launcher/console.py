"""What `helicon up` shows: every line of every part, with the part's name in front."""

import threading
import time
from typing import IO

WIDTH = 8
COLOURS = {"helicon": 1, "postgres": 34, "valkey": 31, "demo": 35, "gateway": 32, "worker": 36}
LONGEST_LINE = 64 * 1024
"""Bytes; a longer one is shown in pieces."""


class Console:
    """One stream that many parts write to, line by line.

    Args:
        stream: where lines go; when nobody reads it any more, parts go on unseen.
        coloured: whether names have colours.
    """

    def __init__(self, stream: IO[bytes], *, coloured: bool) -> None:
        self._stream = stream
        self._coloured = coloured
        self._lock = threading.Lock()
        self._followers: list[threading.Thread] = []
        self._readable = True

    def say(self, text: str) -> None:
        """Show text as it is."""
        self._write(text.encode() + b"\n")

    def note(self, text: str) -> None:
        """Show a line of the launcher's own."""
        self._write(self._prefix("helicon") + text.encode() + b"\n")

    def follow(self, name: str, output: IO[bytes]) -> None:
        """Show the lines of a part until it closes its output."""
        follower = threading.Thread(target=self._copy, args=(name, output), name=f"output of {name}", daemon=True)
        self._followers = [thread for thread in self._followers if thread.is_alive()] + [follower]
        follower.start()

    def drain(self, seconds: float) -> None:
        """Wait for the last words of parts that have ended, so long at most."""
        end = time.monotonic() + seconds
        for follower in self._followers:
            follower.join(max(0.0, end - time.monotonic()))

    def _copy(self, name: str, output: IO[bytes]) -> None:
        prefix = self._prefix(name)
        with output:
            while line := output.readline(LONGEST_LINE):
                self._write(prefix + line.rstrip(b"\r\n") + b"\n")

    def _prefix(self, name: str) -> bytes:
        label = f"{name:<{WIDTH}} | "
        colour = COLOURS.get(name.partition("-")[0], 0)
        return (f"\x1b[{colour}m{label}\x1b[0m" if self._coloured else label).encode()

    def _write(self, line: bytes) -> None:
        with self._lock:
            if not self._readable:
                return
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):  # a closed pipe, a closed file
                self._readable = False
