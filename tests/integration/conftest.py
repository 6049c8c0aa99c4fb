"""A migrated database of its own for each test, copied from a template."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat as uuids

from services.launcher.embedded.postgres import EmbeddedPostgres
from shared.contracts.jobs import ChatJob
from shared.domain.runs import Surface
from shared.store.apps import AppRecord, find_app
from shared.store.engine import Database, open_database
from shared.store.runs import NewRun
from shared.store.schema import upgrade

TEMPLATE = "helicon_template"


def with_name(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + "/" + name


@pytest.fixture(scope="session")
def template(postgres_server: EmbeddedPostgres) -> EmbeddedPostgres:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(with_name(postgres_server.url, TEMPLATE))
    return postgres_server


@pytest.fixture
def database_url(template: EmbeddedPostgres) -> Iterator[str]:
    name = f"t{uuids.uuid7().hex}"
    with psycopg.connect(template.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield with_name(template.url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url, pool_size=10)
    yield database
    database.close()


@pytest.fixture
def app(database: Database) -> AppRecord:
    with database.read() as session:
        return find_app(session, "default")


def chat_job(**changes) -> ChatJob:
    fields = {"provider": "demo", "model": "demo", "query": "Hello?", "answer_limit": 100, "context": 1000}
    return ChatJob(**{**fields, "history_turns": 10, **changes})


def new_run(app: UUID, user: str = "ann", **changes) -> NewRun:
    fields = {
        "grant": 1000,
        "quota": True,
        "surface": Surface.V1,
        "conversation": None,
        "new_conversation": uuids.uuid7(),
        "name": "Hello?",
        "inputs": {},
        "message": uuids.uuid7(),
        "query": "Hello?",
        "run": uuids.uuid7(),
        "queue": "chat",
        "job": chat_job(),
        "bound": 120,
    }
    return NewRun(app=app, user=user, **{**fields, **changes})
