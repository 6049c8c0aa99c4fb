"""Folders for servers that tests start."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that also `nobody` can enter (pytest's own are closed to all but their owner), removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="helicon-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
