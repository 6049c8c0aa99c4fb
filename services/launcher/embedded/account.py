"""As whom the embedded servers run: Postgres refuses root, so root starts them as `nobody`."""

import os
import pwd
from pathlib import Path

from services.launcher.child import Account, Command, run_to_end
from services.launcher.errors import WrongEnvironmentError


def server_account(data: Path) -> Account | None:
    """None for an ordinary user; for root whoever owns the database in the folder `data`, else `nobody`.

    Raises:
        WrongEnvironmentError: this machine has no such user.
    """
    if os.geteuid() != 0:
        return None
    database = data / "pg"
    owner = database.stat().st_uid if database.exists() else 0
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError as error:
        missing = f"with id {owner}, who owns {database}," if owner else "'nobody'"
        raise WrongEnvironmentError(
            f"Postgres can't run as root and there is no user {missing}: start helicon as an ordinary user, or set"
            " HELICON_DATABASE_URL and HELICON_REDIS_URL"
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the account reaches this folder; tried, because mounts and access lists have their say too."""
    return can_run(account, "/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder))


def can_run(account: Account | None, *arguments: str) -> bool:
    """Whether this command ends well for the account."""
    return run_to_end(Command(arguments, account=account, folder=Path("/"))).returncode == 0
