"""The database's schema: bring it to the newest revision, one process at a time."""

import time

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

LOCK = 0x48454C49
"""Key of the advisory lock that keeps two migrations apart."""


class SchemaTooNewError(Exception):
    """The database was migrated by a newer version of Helicon than this one."""


def upgrade(database_url: str, *, wait_seconds: float = 60) -> None:
    """Bring the schema to the newest revision, and make the built-in app.

    Args:
        database_url: of the database.
        wait_seconds: how long Postgres may take to answer.

    Raises:
        SchemaTooNewError: the database knows a revision that this version does not.
        OperationalError: Postgres did not answer in time.
    """
    engine = _engine(database_url)
    with _connect(engine, wait_seconds) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        _refuse_newer(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def is_current(session: Session) -> bool:
    """Whether the database's schema is this version's."""
    heads = MigrationContext.configure(session.connection()).get_current_heads()
    return heads == tuple(_scripts().get_heads())


def _engine(database_url: str) -> Engine:
    return create_engine(make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "shared.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _connect(engine: Engine, wait_seconds: float) -> Connection:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return engine.connect()
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _refuse_newer(connection: Connection) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    for head in MigrationContext.configure(connection).get_current_heads():
        if head not in known:
            raise SchemaTooNewError(
                f"The database is at schema {head}, which this version of Helicon does not know: "
                "start the newer version again, or restore the backup made before its upgrade."
            )
