"""Who asks: keys and the apps that they stand for, believed unchanged for a few seconds."""

from cachetools import TTLCache

from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import DEFAULT_APP, AppRecord, find_app
from shared.store.engine import Database
from shared.store.keys import KeyHolder, find_holder

CEILING = 10_000
"""Keys, and apps, that are remembered at most."""


class Accounts:
    """Keys and apps, as the database has them or had them `cache_seconds` ago."""

    def __init__(self, database: Database, cache_seconds: float) -> None:
        self._database = database
        self._holders = TTLCache[str, tuple[KeyHolder | None], float](CEILING, cache_seconds)
        self._apps = TTLCache[str, AppRecord, float](CEILING, cache_seconds)

    def holder(self, key: str) -> KeyHolder | None:
        """Whom a key stands for; None where it is unknown or revoked.

        Raises:
            HeliconError: DATABASE_READ_FAILED.
        """
        found = self._holders.get(key)
        if found is None:
            with self._database.read() as session:
                found = (find_holder(session, key),)
            self._holders[key] = found
        return found[0]

    def app(self, name: str = DEFAULT_APP) -> AppRecord:
        """The app of that name.

        Raises:
            HeliconError: NOT_FOUND; DATABASE_READ_FAILED.
        """
        app = self._apps.get(name)
        if app is None:
            with self._database.read() as session:
                app = self._apps[name] = find_app(session, name)
        return app


def refuse_disabled(app: AppRecord) -> AppRecord:
    """The app, if it is enabled.

    Raises:
        HeliconError: FORBIDDEN.
    """
    if app.disabled:
        raise HeliconError(ErrorCode.FORBIDDEN, f"The app {app.name!r} is disabled.")
    return app
