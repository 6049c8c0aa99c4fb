"""The live configuration: shown, changed, and taken back."""

from functools import partial
from typing import Any

import structlog
from redis import Redis
from sqlalchemy.orm import Session

from shared.bus.changes import announce_change
from shared.contracts.live import LiveSettings, Place, find_place
from shared.contracts.live_flags import flags_of
from shared.domain.errors import HeliconError
from shared.live_configuration import LiveConfiguration, sealed
from shared.store.audit import record_change
from shared.store.engine import Database
from shared.store.live_settings import drop_change, lock_changes, store_change
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
        """The values in force, secrets masked.

        Raises:
            HeliconError: DATABASE_READ_FAILED, they were never read.
        """
        return self._live.settings().shown()

    def flags(self) -> str:
        """The flags that a process would be started with to have these values.

        Raises:
            HeliconError: as `shown`.
        """
        return flags_of(self._live.settings())

    def update(self, actor: str, section: str, key: str, value: object) -> None:
        """Change a value, in force everywhere within a second; the mask of a secret changes nothing.

        Raises:
            HeliconError: INVALID_PARAM, there is no such field, or it can't have the value; DATABASE_WRITE_FAILED.
        """
        place = find_place(section, key)
        with self._database.write() as session:
            before = self._live.over(lock_changes(session))
            if place.is_masked(value):
                _refuse_other_mask(place, before, value)
                return
            after = before.with_change(place, value)
            version = store_change(session, place, self._stored(place, after))
            _audit(session, actor, "conf.update", place, before, after)
        self._spread(version)

    def reset(self, actor: str, section: str, key: str) -> None:
        """Take a change back.

        Raises:
            HeliconError: INVALID_PARAM, there is no such field; DATABASE_WRITE_FAILED.
        """
        place = find_place(section, key)
        with self._database.write() as session:
            changes = lock_changes(session)
            if place not in changes:
                return
            before = self._live.over(changes)
            after = self._live.over({other: stored for other, stored in changes.items() if other != place})
            version = drop_change(session, place)
            _audit(session, actor, "conf.reset", place, before, after)
        self._spread(version)

    def _stored(self, place: Place, live: LiveSettings) -> Any:  # noqa: ANN401 - of any field
        value = live.value(place)
        return sealed(self._sealer, place, value) if place.secret else value

    def _spread(self, version: int) -> None:
        """Bring a change that was made into force, here and elsewhere; who can't be told now looks for itself."""
        self._live.wake()
        for spread in (self._live.reload, partial(announce_change, self._redis, version)):
            try:
                spread()
            except HeliconError as error:
                log.warning("configuration.not_spread", version=version, error=error.message)


def _refuse_other_mask(place: Place, before: LiveSettings, mask: object) -> None:
    if mask != place.shown(before.value(place)):
        raise HeliconError.invalid(f"{place}: {mask!r} is the mask of another secret; send the secret itself")


def _audit(session: Session, actor: str, action: str, place: Place, before: LiveSettings, after: LiveSettings) -> None:
    old, new = (place.shown(live.value(place)) for live in (before, after))
    record_change(session, actor, action, str(place), old=old, new=new)
