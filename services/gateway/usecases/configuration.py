"""The live configuration: shown, changed, and taken back."""

from typing import Any

import structlog
from redis import Redis
from sqlalchemy.orm import Session

from shared.bus.changes import announce_change
from shared.contracts.live import LiveSettings, Place, find_place, flags_of
from shared.domain.errors import HeliconError
from shared.domain.secrets import is_mask, mask
from shared.live_configuration import LiveConfiguration, sealed
from shared.store.audit import record_change
from shared.store.engine import Database
from shared.store.live_settings import drop_change, next_version, read_changes, store_change
from shared.store.sealing import Sealer

log = structlog.get_logger()


class Configuration:
    """What administrators do to the live configuration.

    Args:
        live: what is in force in this process.
        database: keeps the changes.
        redis: tells the others of them.
        sealer: seals secrets.
    """

    def __init__(self, live: LiveConfiguration, database: Database, redis: Redis, sealer: Sealer) -> None:
        self._live = live
        self._database = database
        self._redis = redis
        self._sealer = sealer

    def shown(self) -> dict[str, dict[str, Any]]:
        """The values in force, secrets masked."""
        return self._live.settings().shown()

    def flags(self) -> str:
        """The flags that a process would be started with to have these values."""
        return flags_of(self._live.settings())

    def update(self, actor: str, section: str, key: str, value: object) -> None:
        """Change a value, in force everywhere within a second; the mask of a secret changes nothing.

        Raises:
            HeliconError: INVALID_PARAM, there is no such field, or it can't have the value; DATABASE_WRITE_FAILED.
        """
        place = find_place(section, key)
        with self._database.write() as session:
            version = next_version(session)
            before = self._live.over(read_changes(session))
            if place.secret and is_mask(str(value)):
                _refuse_other_mask(place, before, str(value))
                return
            after = before.with_change(place, value)
            store_change(session, place, self._stored(place, after))
            _audit(session, actor, "conf.update", place, before, after)
        self._tell(version)

    def reset(self, actor: str, section: str, key: str) -> None:
        """Take a change back.

        Raises:
            HeliconError: INVALID_PARAM, there is no such field; DATABASE_WRITE_FAILED.
        """
        place = find_place(section, key)
        with self._database.write() as session:
            version = next_version(session)
            changes = read_changes(session)
            if place not in changes:
                return
            before = self._live.over(changes)
            drop_change(session, place)
            after = self._live.over({other: value for other, value in changes.items() if other != place})
            _audit(session, actor, "conf.reset", place, before, after)
        self._tell(version)

    def _stored(self, place: Place, live: LiveSettings) -> Any:  # noqa: ANN401 - of any field
        value = live.value(place)
        return sealed(self._sealer, place, value, mask(value)) if place.secret else value

    def _tell(self, version: int) -> None:
        self._live.reload()
        try:
            announce_change(self._redis, version)
        except HeliconError as error:
            log.warning("configuration.not_announced", error=error.message)


def _refuse_other_mask(place: Place, before: LiveSettings, shown: str) -> None:
    if shown != mask(before.value(place)):
        raise HeliconError.invalid(f"{place}: {shown!r} is the mask of another key; send the key itself")


def _audit(session: Session, actor: str, action: str, place: Place, before: LiveSettings, after: LiveSettings) -> None:
    old, new = (live.shown()[place.section][place.key] for live in (before, after))
    record_change(session, actor, action, str(place), old=old, new=new)
