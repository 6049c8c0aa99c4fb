"""One running Helicon for all tests of the surfaces; each test takes users of its own.

Further gateways and workers for tests that need other settings take their runs from another Redis database.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import httpx
import psycopg
import pytest
import uuid_utils.compat as uuids

from services.launcher.embedded.postgres import EmbeddedPostgres
from services.launcher.embedded.valkey import EmbeddedValkey
from shared.store.apps import create_app
from shared.store.keys import create_key
from stack import Stack, running_stack

MakeApp = Callable[..., httpx.Client]

UPSTREAM = "http://upstream.invalid/v1"
"""A base URL that is reached through the proxy alone."""
HURRIED = {
    "HELICON_FIRST_TOKEN_SECONDS": "1",
    "HELICON_NEXT_TOKEN_SECONDS": "1",
    "HELICON_BLOCKING_SECONDS": "1.5",
    "HELICON_PING_SECONDS": "0.2",
    "HELICON_KEY_CACHE_SECONDS": "0.1",
    "HELICON_LLM_RETRY_TIMES": "1",
    "HELICON_LLM_RETRY_INTERVAL": "300",
    "HELICON_CUSTOM_URL": UPSTREAM,
    "HELICON_DEMO_TOKEN": "sk-demo-1234",
    "HELICON_OPENAI_TOKEN": "wrong",
    "HELICON_ANTHROPIC_TOKEN": "forbidden",
    "DEMO_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_BASE_URL": UPSTREAM,
}
TUNED = {
    "HELICON_DEFAULT_MODEL": "demo-tokens:9",
    "HELICON_CHARACTER": "Be brief.",
    "HELICON_TEMPERATURE": "0.1",
    "HELICON_TOP_P": "0.5",
    "HELICON_MAX_TOKENS": "77",
    "HELICON_FREQUENCY_PENALTY": "1.5",
    "HELICON_PRESENCE_PENALTY": "-1",
    "HELICON_STOP": "zebra, yak",
    "HELICON_MAX_QA_PAIR": "1",
    "HELICON_TOKEN_PER_USER": "600",
    "HELICON_CONTEXT_EXPIRE_TIME": "3600",
    "HELICON_ALLOWED_USER_IDS": "ann,bob",
    "HELICON_ADMIN_USER_IDS": "root",
    "HELICON_LANG": "ru",
    "HELICON_MAX_BODY_BYTES": "100000",
}
OPEN = {"HELICON_MUSE_AUTH": "off", "HELICON_LANG": "zh", "HELICON_TEMPERATURE": "1", "HELICON_TOP_P": "1"}


@pytest.fixture(scope="session")
def stack(postgres_server: EmbeddedPostgres, valkey_server: EmbeddedValkey) -> Iterator[Stack]:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE helicon_surface")
    database_url = postgres_server.url.rsplit("/", 1)[0] + "/helicon_surface"
    with running_stack(database_url, valkey_server.url, HELICON_LLM_RETRY_INTERVAL="5") as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A client with the default app's key."""
    with stack.client() as client:
        yield client


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    """A client with an admin key."""
    with stack.client(stack.admin_key) as client:
        yield client


@pytest.fixture
def user() -> str:
    """A user that nobody has seen before."""
    return f"user-{uuids.uuid7()}"


@pytest.fixture
def make_app(stack: Stack) -> Iterator[MakeApp]:
    """Makes apps with settings, and gives a client with the key of each.

    `at` is the base URL of another gateway.
    """
    with ExitStack() as clients:

        def make(at: str = "", **settings: object) -> httpx.Client:
            name = f"app-{uuids.uuid7()}"
            with stack.database.write() as session:
                create_app(session, name, "chat", settings)
                key = create_key(session, kind="app", app=name)
            return clients.enter_context(as_app(at or stack.base_url, name, key))

        yield make


def as_app(url: str, name: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}", "X-App": name}, timeout=60)


def app_of(client: httpx.Client) -> str:
    """The name of the app that `make_app` made for this client."""
    return client.headers["X-App"]


def at(client: httpx.Client, url: str) -> httpx.Client:
    """The same client at another gateway; close it."""
    return httpx.Client(base_url=url, headers=client.headers, timeout=60)


def redis_database(server: EmbeddedValkey, number: int) -> str:
    """The URL of another database of the session's Valkey: a queue of its own."""
    return f"{server.url.removesuffix('/0')}/{number}"


@pytest.fixture(scope="session")
def hurried(stack: Stack, valkey_server: EmbeddedValkey) -> str:
    """A gateway and a worker that wait for nothing long, and reach the upstream through a proxy: the upstream."""
    own = {**HURRIED, "ANTHROPIC_BASE_URL": stack.demo_url, "HELICON_LLM_PROXY": stack.demo_url}
    own["HELICON_REDIS_URL"] = redis_database(valkey_server, 1)
    stack.start_worker("hurried-worker", **own)
    return stack.start_gateway("hurried", **own)


@pytest.fixture(scope="session")
def lonely(stack: Stack, valkey_server: EmbeddedValkey) -> str:
    """A gateway that no worker takes runs from."""
    environ = {"HELICON_PING_SECONDS": "0.2", "HELICON_REDIS_URL": redis_database(valkey_server, 2)}
    return stack.start_gateway("lonely", **environ)


@pytest.fixture
def lonely_worker(stack: Stack, valkey_server: EmbeddedValkey) -> Callable[[], AbstractContextManager[None]]:
    """Gives that gateway a worker for a while."""

    @contextmanager
    def working() -> Iterator[None]:
        worker = stack.start_worker("lonely-worker", HELICON_REDIS_URL=redis_database(valkey_server, 2))
        try:
            yield
        finally:
            worker.stop()
            del stack.parts["lonely-worker"]

    return working


@pytest.fixture(scope="session")
def tuned(stack: Stack) -> str:
    """A gateway with other live settings."""
    return stack.start_gateway("tuned", **TUNED)


@pytest.fixture(scope="session")
def unlocked(stack: Stack) -> str:
    """A gateway whose Muse API asks for no key."""
    return stack.start_gateway("unlocked", **OPEN)
