"""One gateway process with Postgres and Valkey, and no worker: runs whose events somebody else says."""

import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import uuid_utils.compat as uuids

from bench.connection import Address
from bench.systems.system import Program, UnavailableError, answers, free_address
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from services.launcher.errors import LauncherError
from shared.contracts.jobs import ChatJob
from shared.domain.runs import Surface
from shared.store.apps import find_app
from shared.store.engine import Database, open_database
from shared.store.keys import create_key
from shared.store.runs.start import NewRun, start_run
from shared.store.schema import upgrade

READY_SECONDS = 60
APP = "default"
USER = "bench"


@dataclass(frozen=True)
class LoneGateway:
    """A gateway, and what is below it.

    Args:
        address: where it listens.
        pid: its first process.
        key: of the app whose runs it shows.
        admin_key: of an administrator.
        redis_url: where the events of runs are said.
        database: where the runs are.
    """

    address: Address
    pid: int
    key: str
    admin_key: str
    redis_url: str
    database: Database

    def make_runs(self, count: int) -> list[UUID]:
        """Begin runs that no worker will ever take; their ids."""
        with self.database.read() as session:
            app = find_app(session, APP).id
        return [start_run(self.database, _new_run(app)).run for _ in range(count)]

    def request(self, run: UUID) -> bytes:
        """The bytes that ask for a run's events, from the first on."""
        lines = (
            f"GET /v1/chat-messages/{run}/events?user={USER} HTTP/1.1",
            f"Host: {self.address.host}:{self.address.port}",
            f"Authorization: Bearer {self.key}",
        )
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass(frozen=True)
class Servers:
    """What a gateway needs below it: Postgres with all tables, and Valkey."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    database: Database


@contextmanager
def running_servers(folder: Path) -> Generator[Servers]:
    """New servers, empty.

    Raises:
        UnavailableError: one did not start.
    """
    try:
        with embedded_postgres(folder / "postgres") as postgres, embedded_valkey(folder / "valkey") as valkey:
            upgrade(postgres.url)
            with closing(open_database(postgres.url)) as database:
                yield Servers(postgres, valkey, database)
    except LauncherError as error:
        raise UnavailableError(str(error)) from error


@contextmanager
def gateway_over(folder: Path, servers: Servers, *, processes: int = 1) -> Generator[LoneGateway]:
    """A gateway of so many processes.

    Raises:
        UnavailableError: it did not start.
    """
    with servers.database.write() as session:
        key = create_key(session, kind="app", app=APP)
        admin_key = create_key(session, kind="admin", app=None)
    address = free_address()
    environ = {
        "HELICON_DATABASE_URL": servers.postgres.url,
        "HELICON_REDIS_URL": servers.valkey.url,
        "HELICON_SECRET_KEY": "a key for benchmarks, which nobody has to guess",
        "HELICON_PORT": str(address.port),
        "HELICON_GATEWAY_PROCESSES": str(processes),
        "HELICON_TYPE": "demo",
        "HELICON_LOG_FORMAT": "json",
    }
    program = Program((sys.executable, "-m", "services.gateway"), folder / "gateway.log", environ)
    with program.running(lambda: answers(f"{address.url}/readyz"), READY_SECONDS) as pid:
        yield LoneGateway(address, pid, key, admin_key, servers.valkey.url, servers.database)


@contextmanager
def running_gateway(folder: Path) -> Generator[LoneGateway]:
    """A new gateway of one process over empty servers.

    Raises:
        UnavailableError: one did not start.
    """
    with running_servers(folder) as servers, gateway_over(folder, servers) as gateway:
        yield gateway


def _new_run(app: UUID) -> NewRun:
    job = ChatJob(provider="demo", model="demo", query="", answer_limit=1, context=1, history_turns=0)
    return NewRun(
        app=app,
        user_id=USER,
        first_grant=0,
        quota=False,
        surface=Surface.V1,
        conversation=None,
        new_conversation=uuids.uuid7(),
        name=USER,
        inputs={},
        message=uuids.uuid7(),
        record_type=job.record_type,
        query="",
        run=uuids.uuid7(),
        kind=job.kind,
        queue=job.queue,
        job=job.model_dump(mode="json"),
        bound=0,
    )
