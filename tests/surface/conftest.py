"""One running Helicon for all tests of the surfaces; each test takes users of its own."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
import uuid_utils.compat as uuids
from stack import Stack, running_stack

from services.launcher.embedded.postgres import EmbeddedPostgres
from services.launcher.embedded.valkey import EmbeddedValkey


@pytest.fixture(scope="session")
def stack(postgres_server: EmbeddedPostgres, valkey_server: EmbeddedValkey) -> Iterator[Stack]:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE helicon_surface")
    database_url = postgres_server.url.rsplit("/", 1)[0] + "/helicon_surface"
    with running_stack(database_url, valkey_server.url) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A client with the default app's key."""
    with stack.client() as client:
        yield client


@pytest.fixture
def user() -> str:
    """A user that nobody has seen before."""
    return f"user-{uuids.uuid7()}"
