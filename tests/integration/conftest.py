"""A migrated database of its own for each test, copied from a template."""

from collections.abc import Iterator

import psycopg
import pytest
import uuid_utils.compat as uuids

from services.launcher.embedded.postgres import EmbeddedPostgres
from shared.store.apps import AppRecord, find_app
from shared.store.engine import Database, open_database
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
