"""What tests of every kind may ask for: a real Postgres and a real Valkey, started once."""

from collections.abc import Iterator

import pytest

from servers import temporary_folder
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    with temporary_folder() as folder, embedded_postgres(folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedValkey]:
    with temporary_folder() as folder, embedded_valkey(folder) as server:
        yield server
