"""A lock on a folder that two processes must not use at once. The kernel drops it when its holder dies."""

import fcntl
import os
from pathlib import Path

from services.launcher.errors import WrongEnvironmentError


class FolderLock:
    """An flock on a small file, held from its making to `release`.

    Raises:
        WrongEnvironmentError: another process holds it.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise WrongEnvironmentError(
                f"{file.parent} is in use by another helicon (process {holder}): stop it, or choose another folder"
                " with --data FOLDER (HELICON_DATA)"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)
