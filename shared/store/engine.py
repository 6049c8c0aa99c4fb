"""The way to Postgres: one pool a process, used for calls of SQL functions, for queries and for transactions.

The pool's connections are in autocommit and are not rolled back when they return, so that a call is one round trip; a
transaction is begun and ended by whoever needs one.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import orjson
import psycopg
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError, SQLAlchemyError
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


_AWAY = "The database is away. Try again in a moment."


class _BrokenConnectionError(psycopg.OperationalError):
    """The connection broke during a call."""


class RefusedCallError(Exception):
    """Postgres would not do what a SQL function was called for.

    Args:
        error: what it said; its SQLSTATE is `state`.
    """

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.state = error.sqlstate


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

    def call(self, statement: str, document: object, *, reads: bool = False) -> tuple[Any, ...]:
        """Call a SQL function that takes one JSON document and gives one row, in one round trip.

        Every chat goes through it several times, and most of the time was SQLAlchemy's: so psycopg makes the call, on
        a connection of SQLAlchemy's pool. Where it breaks the call is made once more on another, which the function
        must allow for: the first one may have been done.

        Args:
            statement: `SELECT * FROM name(%s::jsonb)`.
            document: what orjson can write: dataclasses, UUIDs, dates.
            reads: whether the function writes nothing.

        Raises:
            HeliconError: DATABASE_WRITE_FAILED, or DATABASE_READ_FAILED where it `reads`: Postgres is away or too slow.
            RefusedCallError: it can't be done, and nothing was written.
        """
        argument = orjson.dumps(document).decode()
        failure = ErrorCode.DATABASE_READ_FAILED if reads else ErrorCode.DATABASE_WRITE_FAILED
        with self._place(failure):
            try:
                return self._call(statement, argument)
            except _BrokenConnectionError:
                return self._call(statement, argument)

    def _call(self, statement: str, argument: str) -> tuple[Any, ...]:
        pooled = self._engine.raw_connection()
        connection = cast("psycopg.Connection[tuple[Any, ...]]", pooled.dbapi_connection)
        try:
            row = connection.execute(cast("Any", statement), (argument,)).fetchone()
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            pooled.invalidate()
            raise _BrokenConnectionError(*error.args) from error
        finally:
            pooled.close()
        if row is None:
            raise TypeError(f"{statement} gave no row")
        return row

    def close(self) -> None:
        """Close the pool's connections."""
        self._engine.dispose()

    @contextmanager
    def _place(self, failure: ErrorCode) -> Generator[None]:
        if not self._limiter.acquire(timeout=self._wait_seconds):
            raise HeliconError(failure, "The database is busy. Try again in a moment.", retry_after=1)
        try:
            yield
        except (SQLAlchemyError, psycopg.Error) as error:
            if _state(error) == _READ_ONLY:
                self._engine.dispose()  # after a failover: these connections lead to what is only a copy now
            if _is_away(error):
                raise HeliconError(failure, _AWAY, retry_after=2) from error
            if isinstance(error, psycopg.Error):
                raise RefusedCallError(error) from error
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
        json_deserializer=orjson.loads,
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(2, int(wait_seconds)),
            "application_name": "helicon",
            "options": f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout=60000",
            "keepalives_idle": 30,
        },
    )
    event.listen(engine, "checkout", _refuse_broken)
    return Database(engine, limiter or threading.BoundedSemaphore(pool_size), wait_seconds)


def _refuse_broken(connection: "psycopg.Connection[Any]", _record: object, _proxy: object) -> None:
    """Look whether the server has closed a connection that is taken from the pool: libpq sees it without asking.

    Raises:
        InvalidatePoolError: it has, and the others will be no better: all of the pool's are made anew.
    """
    try:
        connection.pgconn.consume_input()  # the server's last word, if it said one
        connection.pgconn.consume_input()  # the end
    except psycopg.OperationalError as error:
        raise InvalidatePoolError from error


_AWAY_CLASSES = {"08", "40", "53", "57"}
"""SQLSTATE classes: connection, rollback (deadlock), resources, operator intervention."""
_READ_ONLY = "25006"
_AWAY_STATES = {_READ_ONLY, "25P03", "55P03"}
"""Read-only, idle too long, lock not available."""


def _state(error: SQLAlchemyError | psycopg.Error) -> str | None:
    """The SQLSTATE of an error that has one."""
    if isinstance(error, psycopg.Error):
        return error.sqlstate
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def _is_away(error: SQLAlchemyError | psycopg.Error) -> bool:
    """Whether the server, not the statement, is the cause."""
    if isinstance(error, PoolTimeoutError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return True
    state = _state(error)
    if state is not None:
        return state[:2] in _AWAY_CLASSES or state in _AWAY_STATES
    return isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError)
