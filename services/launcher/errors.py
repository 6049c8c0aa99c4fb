"""What the command line can fail with: each is one line on stderr that says what to do, and an exit code."""


class LauncherError(Exception):
    """Something that was asked for could not be done."""

    exit_code = 1


class WrongEnvironmentError(LauncherError):
    """The command can't be carried out on this machine, or with these settings; the message says what to change."""

    exit_code = 2


class PartFailedError(LauncherError):
    """A part did not start, or did not become ready in its time."""
