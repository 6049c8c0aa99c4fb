"""The way to Postgres: one pool a process, used for single statements and for transactions.

The pool's connections are in autocommit and are not rolled back when they return, so that a call of a SQL function is
one round trip; a transaction is begun and ended by whoever needs one.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from shared.domain.errors import ErrorCode, HeliconError


class Limiter(Protocol):
    """A semaphore that hands out the pool's connections in the order of asking."""

    def acquire(self, *, timeout: float) -> bool:
        """Take a place; False when none came free in `timeout` seconds."""
        ...

    def release(self) -> None:
        """Give the place back."""
        ...


class Database:
    """Postgres, as Helicon uses it.

    Args:
        engine: in autocommit.
        limiter: as many places as the engine's pool has connections.
        wait_seconds: longest wait for a place.
    """

    def __init__(self, engine: Engine, limiter: Limiter, wait_seconds: float) -> None:
        self._engine = engine
        self._transactions = engine.execution_options(isolation_level="READ COMMITTED")
        self._limiter = limiter
        self._wait_seconds = wait_seconds

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session for queries, each a statement of its own.

        Raises:
            HeliconError: DATABASE_READ_FAILED, Postgres is away or too slow.
        """
        with self._place(ErrorCode.DATABASE_READ_FAILED), Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A session in one transaction: committed at the end, rolled back on any exception.

        Raises:
            HeliconError: DATABASE_WRITE_FAILED, Postgres is away or too slow; as far as anyone knows, nothing was
                written.
        """
        with self._place(ErrorCode.DATABASE_WRITE_FAILED), Session(self._transactions) as session, session.begin():
            yield session

    @contextmanager
    def call(self) -> Generator[Connection]:
        """A connection for a single statement that is a transaction by itself: a SQL function.

        Raises:
            HeliconError: DATABASE_WRITE_FAILED, Postgres is away or too slow.
        """
        with self._place(ErrorCode.DATABASE_WRITE_FAILED), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close the pool's connections."""
        self._engine.dispose()

    @contextmanager
    def _place(self, failure: ErrorCode) -> Generator[None]:
        if not self._limiter.acquire(timeout=self._wait_seconds):
            raise HeliconError(failure, "The database is busy. Try again in a moment.", retry_after=1)
        try:
            yield
        except SQLAlchemyError as error:
            if _state(error) == _READ_ONLY:
                self._engine.dispose()  # after a failover: these connections lead to what is only a copy now
            if _is_away(error):
                raise HeliconError(failure, "The database is away. Try again in a moment.", retry_after=2) from error
            raise
        finally:
            self._limiter.release()


def open_database(
    url: str, *, pool_size: int = 2, wait_seconds: float = 10, limiter: Limiter | None = None
) -> Database:
    """Make a pool for `url` (`postgresql://...`); nothing is connected yet.

    Args:
        url: of the database.
        pool_size: connections at most.
        wait_seconds: longest wait for a connection, and longest statement.
        limiter: a semaphore of `pool_size` places; made where it is not given.
    """
    milliseconds = int(wait_seconds * 1000)
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_reset_on_return=None,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": max(2, int(wait_seconds)),
            "application_name": "helicon",
            "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=60000",
            "keepalives_idle": 30,
        },
    )
    return Database(engine, limiter or threading.BoundedSemaphore(pool_size), wait_seconds)


_AWAY_CLASSES = {"08", "40", "53", "57"}
"""SQLSTATE classes: connection, rollback (deadlock), resources, operator intervention."""
_READ_ONLY = "25006"
_AWAY_STATES = {_READ_ONLY, "25P03", "55P03"}
"""Read-only, idle too long, lock not available."""


def _state(error: SQLAlchemyError) -> str | None:
    """The SQLSTATE of an error that has one."""
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _is_away(error: SQLAlchemyError) -> bool:
    """Whether the server, not the statement, is the cause."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeoutError)
    state = _state(error)
    if state is None:
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return error.connection_invalidated or state[:2] in _AWAY_CLASSES or state in _AWAY_STATES
