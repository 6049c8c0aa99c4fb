"""Where a running `helicon up` has its database and Redis, so that commands in other terminals find them."""

import json
from collections.abc import Mapping
from pathlib import Path

from services.launcher.embedded.data_folder import DataFolder
from services.launcher.errors import WrongEnvironmentError

FILE = "runtime.json"


def write_runtime(data: DataFolder, *, database_url: str, redis_url: str) -> None:
    """Say where they are; only the folder's owner can read it, the URLs hold passwords."""
    data.write_json(FILE, {"database_url": database_url, "redis_url": redis_url})


def remove_runtime(data: DataFolder) -> None:
    """Say that they are gone."""
    (data.path / FILE).unlink(missing_ok=True)


def ended_unasked(data: DataFolder) -> bool:
    """Whether the last `helicon up` of this folder did not come to its own end."""
    return (data.path / FILE).exists()


def find_database_url(environ: Mapping[str, str]) -> str:
    """The database to work on: `HELICON_DATABASE_URL`, else that of the running `helicon up` of `HELICON_DATA`.

    Raises:
        WrongEnvironmentError: neither is there.
    """
    given = environ.get("HELICON_DATABASE_URL")
    if given:
        return given
    file = Path(environ.get("HELICON_DATA") or ".helicon") / FILE
    try:
        return str(json.loads(file.read_text("utf-8"))["database_url"])
    except PermissionError as error:
        raise WrongEnvironmentError(f"{file} can't be read: run this as the user who runs helicon up") from error
    except (OSError, ValueError, KeyError) as error:
        raise WrongEnvironmentError(
            "no database is known: set HELICON_DATABASE_URL, or start helicon up here (or name its folder with"
            " HELICON_DATA)"
        ) from error
