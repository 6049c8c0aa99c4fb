"""What both embedded servers have in common: prepared, started, asked whether they are ready, stopped, killed.

`helicon up` lets its supervisor start what `prepare` returns; tests call `start` and `stop`.
"""

import time
from abc import ABC, abstractmethod
from pathlib import Path

from services.launcher.child import Child, Command
from services.launcher.embedded.data_folder import DataFolder
from services.launcher.embedded.leftovers import end_leftovers
from services.launcher.embedded.lock import FolderLock
from services.launcher.embedded.ports import free_port
from services.launcher.errors import PartFailedError


class EmbeddedServer(ABC):
    """A server on loopback whose data lie in a folder of ours, held by a lock from `prepare` to `close`.

    Args:
        data: where its data lie.
        port: where it listens; None: on a free port, the same one until `close`.
    """

    name: str
    program: str

    def __init__(self, data: DataFolder, *, port: int | None = None) -> None:
        self.data = data
        self.port = port or free_port()
        self._lock: FolderLock | None = None
        self._child: Child | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, with its password."""

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Whether the process `pid` serves clients now."""

    @abstractmethod
    def command(self) -> Command:
        """Bring the folder into order and say how the server is run."""

    def prepare(self) -> Command:
        """Take the folder, end what an earlier run left in it, and say how the server is run.

        Raises:
            WrongEnvironmentError: another process uses the folder.
            PartFailedError: the database can't be made.
        """
        if self._lock is None:
            self._lock = FolderLock(self.data.place / f"{self.name}.lock")
        command = self.command()
        if command.folder:
            end_leftovers(command.folder, self.program, command.stop_signal)
        return command

    @property
    def pid(self) -> int:
        """Id of the running process."""
        if self._child is None:
            raise PartFailedError(f"{self.name} is not running")
        return self._child.pid

    @property
    def log(self) -> Path:
        """What it said since it was last started by `start`."""
        return self.data.path / f"{self.name}.log"

    def start(self, *, seconds: float = 60) -> None:
        """Run it and wait until it serves clients.

        Raises:
            PartFailedError: it ended, or was not ready in time.
        """
        command = self.prepare()
        with self.log.open("wb") as log:
            self._child = Child(command, log)
        end = time.monotonic() + seconds
        while not self.is_ready(self._child.pid):
            if self._child.exit_code() is not None or time.monotonic() > end:
                self.kill()
                said = self.log.read_text("utf-8", "replace").strip()[-500:]
                raise PartFailedError(f"{self.name} did not start: {said}")
            time.sleep(0.01)

    def stop(self, *, seconds: float = 20) -> None:
        """Ask it to end, and end it after this time."""
        if self._child is not None:
            self._child.stop(seconds)
            self._child = None

    def kill(self) -> None:
        """End it and its processes as a power cut would; `start` brings it back on the same port and data."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """Stop it and give the folder free."""
        self.stop()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
