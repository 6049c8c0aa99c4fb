"""One running Helicon for all tests of the surfaces; each test takes users of its own.

Where a test needs other settings, a further gateway serves the same runs; where it needs another worker, a neighbour
has a database and a queue of its own (keepers look after all runs of a database).
"""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
import uuid_utils.compat as uuids
from redis import Redis

from neighbours import APP_HEADER, HURRIED, OPEN, TOLD, TUNED, MakeApp, Servers, at, make_database, neighbour
from services.launcher.embedded.postgres import EmbeddedPostgres
from services.launcher.embedded.valkey import EmbeddedValkey
from shared.bus.connection import open_redis
from shared.store.apps import create_app
from shared.store.keys import create_key
from stack import Stack, running_stack, wait_for
from talk import answer
from twins import Twins, running_twins


@pytest.fixture(scope="session")
def stack(postgres_server: EmbeddedPostgres, valkey_server: EmbeddedValkey) -> Iterator[Stack]:
    url = make_database(postgres_server, "helicon_surface")
    with running_stack(url, valkey_server.url, HELICON_LLM_RETRY_INTERVAL="5") as stack:
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
def redis(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    """The Redis of the stack."""
    redis = open_redis(valkey_server.url, pool_size=1)
    yield redis
    redis.close()


@pytest.fixture
def user() -> str:
    """A user that nobody has seen before."""
    return f"user-{uuids.uuid7()}"


@pytest.fixture
def make_app(stack: Stack) -> Iterator[MakeApp]:
    """Makes apps with settings, and gives a client with the key of each, of the first gateway or of `at`."""
    with ExitStack() as clients:

        def make(at: Stack | str | None = None, **settings: object) -> httpx.Client:
            home = at if isinstance(at, Stack) else stack
            name = f"app-{uuids.uuid7()}"
            with home.database.write() as session:
                create_app(session, name, "chat", settings)
                key = create_key(session, kind="app", app=name)
            url = at if isinstance(at, str) else home.base_url
            headers = {"Authorization": f"Bearer {key}", APP_HEADER: name}
            return clients.enter_context(httpx.Client(base_url=url, headers=headers, timeout=60))

        yield make


@pytest.fixture(scope="session")
def servers(postgres_server: EmbeddedPostgres, valkey_server: EmbeddedValkey) -> Servers:
    return Servers(postgres_server, valkey_server)


@pytest.fixture(scope="session")
def hurried(stack: Stack, servers: Servers) -> Iterator[Stack]:
    """A gateway and a worker that wait for nothing long, and reach the upstream through a proxy: the upstream."""
    upstream = {"ANTHROPIC_BASE_URL": stack.demo_url, "HELICON_LLM_PROXY": stack.demo_url}
    with neighbour(stack, servers, "hurried", 1, **HURRIED, **upstream) as other:
        other.start_worker("hurried-worker")
        yield other


@pytest.fixture(scope="session")
def lonely(stack: Stack, servers: Servers) -> Iterator[Stack]:
    """A gateway that no worker takes runs from."""
    with neighbour(stack, servers, "lonely", 2, HELICON_PING_SECONDS="0.2") as other:
        yield other


@pytest.fixture(scope="session")
def tuned(stack: Stack) -> str:
    """A gateway with other live settings."""
    return stack.start_gateway("tuned", **TUNED)


@pytest.fixture(scope="session")
def unlocked(stack: Stack) -> str:
    """A gateway whose Muse API asks for no key."""
    return stack.start_gateway("unlocked", **OPEN)


@pytest.fixture(scope="session")
def twins_running(stack: Stack, servers: Servers) -> Iterator[Twins]:
    with running_twins(stack, servers, "twins", 4, HELICON_TOP_P="0.8") as twins:
        yield twins


@pytest.fixture
def twins(twins_running: Twins) -> Iterator[Twins]:
    """Two gateways and two workers, whose live settings are again what they were started with at the end."""
    yield twins_running
    twins_running.reset_all()


@pytest.fixture(scope="session")
def gateways(stack: Stack) -> dict[str, str]:
    """A gateway in each language."""
    others = {lang: stack.start_gateway(f"gateway-{lang}", HELICON_LANG=lang) for lang in ("zh", "ru")}
    return {"en": stack.base_url, **others}


@pytest.fixture(params=["en", "zh", "ru"])
def lang(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def speaking(client: httpx.Client, gateways: dict[str, str], lang: str) -> Iterator[httpx.Client]:
    """A client at the gateway of the language `lang`."""
    with at(client, gateways[lang]) as speaking:
        yield speaking


@pytest.fixture
def told(stack: Stack, client: httpx.Client) -> httpx.Client:
    """A client once its gateway knows what the demo upstream tells: see `neighbours.TOLD`."""
    wait_for(lambda: {*answer(client, "nobody", "/mode").split()} == {"*", *TOLD}, "the models are told")
    return client
