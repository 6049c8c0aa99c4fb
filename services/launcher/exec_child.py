"""The step between `Child` and its program: a script of its own, run by path in a bare interpreter.

It gives up root where that is asked for, ties the process to the life of its parent and becomes the program. This
can't be done in `preexec_fn`: that is unsafe beside threads. It can't be done earlier either: Linux forgets the tie
when a process changes its user. Nothing is imported here but the standard library.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: the parent's pid, the signal at its death, uid and gid (-1: as they are), then the command."""
    parent, orphan_signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, orphan_signal)
    if os.getppid() != parent:
        sys.exit(f"the parent {parent} of {command[0]} is gone")
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]} can't be run: {error.strerror}")


if __name__ == "__main__":
    main()
