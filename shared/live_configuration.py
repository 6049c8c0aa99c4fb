"""The live configuration of a process: what it was started with, and over it what was changed since.

Whoever changes it publishes the fact; a process that hears of it wakes its configuration, which reads the changes
again. One that heard nothing looks for itself every 15 s.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.contracts.live import LiveSettings, Place, find_place
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.engine import Database
from shared.store.live_settings import read_changes, read_version
from shared.store.sealing import Sealer, WrongSecretKeyError, check_secret_key

log = structlog.get_logger()

LOOK_SECONDS = 15.0
TURN_SECONDS = 0.5
"""How long it takes at most to notice the end, and to try again what failed."""


class LiveConfiguration:
    """The settings in force.

    Args:
        started: what defaults, environment and flags say.
        database: has the changes.
        sealer: has the installation's secret key, which is checked before the first reading.
        opens_secrets: False where nobody needs them: they are masks there.
    """

    def __init__(self, started: LiveSettings, database: Database, sealer: Sealer, *, opens_secrets: bool) -> None:
        self._started = started
        self._database = database
        self._sealer = sealer
        self._opens_secrets = opens_secrets
        self._settings: LiveSettings | None = None
        self._version = -1
        self._reading = threading.Lock()
        self._awake = threading.Event()

    def settings(self) -> LiveSettings:
        """The settings in force.

        Raises:
            HeliconError: DATABASE_READ_FAILED, they could not be read since the process began.
        """
        if self._settings is None:
            words = "The live configuration could not be read yet. Try again in a moment."
            raise HeliconError(ErrorCode.DATABASE_READ_FAILED, words, retry_after=2)
        return self._settings

    def reload(self) -> None:
        """Read the changes, if there are new ones.

        Raises:
            HeliconError: DATABASE_READ_FAILED or DATABASE_WRITE_FAILED, Postgres is away.
            WrongSecretKeyError: the secret key is not the installation's.
        """
        with self._reading:
            if self._settings is None:
                with self._database.write() as session:
                    check_secret_key(session, self._sealer)
            with self._database.read() as session:
                version = read_version(session)
                if version == self._version:
                    return
                changes = read_changes(session)  # read after the version: they may be newer, never older
            self._settings = self.over(changes)
            self._version = version
        log.info("live.read", version=version, changes=len(changes))

    def wake(self) -> None:
        """There may be something new: read it soon."""
        self._awake.set()

    def keep(self, ended: threading.Event) -> None:
        """Read again whenever woken, and every 15 s, until `ended`, which is noticed within a second.

        Raises:
            WrongSecretKeyError: as `reload`.
        """
        deadline = 0.0
        while not ended.is_set():
            if not self._awake.wait(TURN_SECONDS) and time.monotonic() < deadline:
                continue
            self._awake.clear()
            try:
                self.reload()
                deadline = time.monotonic() + LOOK_SECONDS
            except (HeliconError, SQLAlchemyError) as error:
                log.warning("live.not_read", error=str(error))
                deadline = 0.0

    def over(self, changes: Mapping[Place, Any]) -> LiveSettings:
        """The settings that the process was started with, and `changes` over them, but for those that it can't use."""
        settings = self._started
        for place, stored in changes.items():
            try:
                find_place(*place)
                settings = settings.with_change(place, self._open(place, stored))
            except HeliconError as error:
                log.warning("live.setting_ignored", setting=str(place), error=error.message)
            except WrongSecretKeyError:
                log.warning("live.secret_not_opened", setting=str(place))
        return settings

    def _open(self, place: Place, stored: Any) -> object:  # noqa: ANN401 - of any field
        if not place.secret:
            return stored
        try:
            return self._sealer.open(stored["sealed"], str(place)) if self._opens_secrets else stored["mask"]
        except (KeyError, TypeError) as error:
            raise WrongSecretKeyError(str(place)) from error


def sealed(sealer: Sealer, place: Place, secret: str) -> dict[str, str]:
    """A secret as it is stored: sealed, with its mask beside."""
    return {"sealed": sealer.seal(secret, str(place)), "mask": place.shown(secret)}
