"""Servers of an earlier run that still hold a folder: after a crash they must be gone before the next one starts."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from services.launcher.errors import PartFailedError

PROC = Path("/proc")


def end_leftovers(folder: Path, program: str, stop_signal: signal.Signals, *, seconds: float = 5) -> None:
    """End every process of this program that works in this folder; the caller holds the folder's lock.

    Args:
        folder: where the server keeps its data.
        program: the name of its binary.
        stop_signal: what asks it to end.
        seconds: how long it may take; then it is killed.
    """
    for number, patience in ((stop_signal, seconds), (signal.SIGKILL, 5)):
        for pid in processes_in(folder, program):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _all_gone(folder, program, patience):
            return
    raise PartFailedError(f"processes {processes_in(folder, program)} of an earlier run hold {folder} and won't end")


def processes_in(folder: Path, program: str) -> list[int]:
    """Ids of the living processes of a program that work in a folder."""
    if PROC.joinpath("self/cwd").exists():
        return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and _is(entry, folder, program)]
    return _from_pid_file(folder, program)


def _is(entry: Path, folder: Path, program: str) -> bool:
    try:
        running = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        return running == program and (entry / "cwd").samefile(folder)
    except OSError:  # ended meanwhile, a zombie, or another user's: none of ours
        return False


def _from_pid_file(folder: Path, program: str) -> list[int]:
    """Without /proc: what the server's own file names, if it is a process of that program with that folder."""
    file = folder / ("postmaster.pid" if program == "postgres" else "valkey.pid")
    try:
        pid = int(file.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return []
    asked = ["/bin/ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603 - the arguments are ours
    alive = told and not told.startswith("Z")
    return [pid] if alive and program in told and str(folder) in told else []


def _all_gone(folder: Path, program: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while processes_in(folder, program):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
