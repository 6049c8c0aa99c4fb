"""The folder of `helicon up`: what lies where, and who may read it.

    <data>/lock, secret.key, *.json  ours, files of mode 0600
    <place>/pg, <place>/valkey       the servers', mode 0700
    <place>/*.password, *.lock       ours, mode 0600
    <place>/programs                 the servers' binaries, when their account can't reach the installed ones

The place is the data folder itself, unless we are root and `nobody` can't get there: then it is a folder below
`/var/lib/helicon` that the file `<data>/place` names.
"""

import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.launcher.child import Account
from services.launcher.embedded.account import can_enter, server_account
from services.launcher.errors import WrongEnvironmentError

ELSEWHERE = Path("/var/lib/helicon")
OPEN_TO_ENTER = 0o711
PRIVATE = 0o700


@dataclass(frozen=True)
class DataFolder:
    """Where things lie.

    Args:
        path: the folder as the user named it, made absolute.
        place: where the servers' data lie.
        account: as whom the servers run; None: as we do.
    """

    path: Path
    place: Path
    account: Account | None

    def server_folder(self, name: str) -> Path:
        """A folder that a server alone may read; made when it is missing."""
        folder = self.place / name
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        self.give(folder)
        return folder

    def give(self, path: Path) -> None:
        """Make the servers' account the owner of a file or folder."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)

    def password(self, server: str) -> str:
        """The password of a server: made once, kept beside its data."""
        return _kept_secret(self.place / f"{server}.password")

    def secret_key(self) -> str:
        """What seals the secrets in the database: made once, and as dear as the database."""
        return _kept_secret(self.path / "secret.key")

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Replace a file of ours; nobody else can read it."""
        write_private(self.path / name, json.dumps(value, indent=2) + "\n")


def open_data_folder(data: Path, *, for_servers: bool = True) -> DataFolder:
    """Make the folder if it is missing and find where the servers' data lie.

    Args:
        data: the folder.
        for_servers: False: it will hold files of ours alone.

    Raises:
        WrongEnvironmentError: it can't be made or written.
    """
    path = data.absolute()
    try:
        _make(path)
    except OSError as error:
        raise WrongEnvironmentError(
            f"the data folder {path} can't be written ({error.strerror}): choose another with --data FOLDER"
            " (HELICON_DATA)"
        ) from error
    account = server_account(path) if for_servers else None
    return DataFolder(path, _place(path, account) if account else path, account)


def _kept_secret(file: Path) -> str:
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32))
    return file.read_text("ascii").strip()


def write_private(file: Path, text: str) -> None:
    """Replace a file as a whole by one that its owner alone can read: whoever owns the folder."""
    owner = file.parent.stat()
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(text)
        if os.geteuid() == 0:
            os.fchown(written.fileno(), owner.st_uid, owner.st_gid)
    Path(name).replace(file)


def _make(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(OPEN_TO_ENTER if os.geteuid() == 0 else PRIVATE)
    with tempfile.TemporaryFile(dir=path):
        pass


def _place(path: Path, account: Account) -> Path:
    pointer = path / "place"
    if pointer.exists():
        return Path(pointer.read_text("utf-8").strip())
    status = path.stat()
    if status.st_uid == 0:
        path.chmod(status.st_mode | 0o011)
    if can_enter(account, path):
        return path
    if (path / "pg").exists():
        raise WrongEnvironmentError(
            f"user {account.name!r}, as whom root runs Postgres, can't get to {path}: chmod o+x the folders above it"
        )
    place = _make_elsewhere(path, account)
    write_private(pointer, f"{place}\n")
    return place


def _make_elsewhere(path: Path, account: Account) -> Path:
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    try:
        ELSEWHERE.mkdir(mode=OPEN_TO_ENTER, parents=True, exist_ok=True)
        # A folder of that name without a pointer to it is what an older, deleted data folder left: not ours to touch.
        taken = [candidate.name for candidate in ELSEWHERE.glob(f"{name}*")]
        place = ELSEWHERE / (f"{name}-{len(taken)}" if taken else name)
        place.mkdir()
        place.chmod(OPEN_TO_ENTER)
    except OSError as error:
        raise WrongEnvironmentError(
            f"user {account.name!r}, as whom root runs Postgres, can't get to {path}, and {ELSEWHERE} can't be"
            f" written ({error.strerror}): choose a folder that others can enter with --data FOLDER (HELICON_DATA)"
        ) from error
    return place
