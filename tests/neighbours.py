"""Apps, and further gateways and workers, for tests that need other settings than those of the stack."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import httpx
import psycopg

from services.launcher.embedded.postgres import EmbeddedPostgres
from services.launcher.embedded.valkey import EmbeddedValkey
from shared.store.engine import open_database
from shared.store.schema import upgrade
from stack import Stack

MakeApp = Callable[..., httpx.Client]
APP_HEADER = "X-App"

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
    "HELICON_ALIYUN_TOKEN": "never-used",
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
    "HELICON_ADMIN_USER_IDS": "root, chief",
    "HELICON_LANG": "ru",
    "HELICON_MAX_BODY_BYTES": "100000",
}
OPEN = {"HELICON_MUSE_AUTH": "off", "HELICON_LANG": "zh", "HELICON_TEMPERATURE": "1", "HELICON_TOP_P": "1"}

TOLD = ["demo", "demo-slow:20", "demo-tokens:100"]
"""The models that the demo upstream tells of."""


def app_of(client: httpx.Client) -> str:
    """The name of the app that `make_app` made for this client."""
    return client.headers[APP_HEADER]


def at(client: httpx.Client, url: str) -> httpx.Client:
    """The same client at another gateway; close it."""
    return httpx.Client(base_url=url, headers=client.headers, timeout=60)


class Servers(NamedTuple):
    """The session's servers, of which each neighbour has a database of its own."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey


def make_database(server: EmbeddedPostgres, name: str) -> str:
    """An empty database of the session's Postgres: its URL."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url.rsplit("/", 1)[0] + f"/{name}"


@contextmanager
def neighbour(stack: Stack, servers: Servers, name: str, number: int, **environ: str) -> Iterator[Stack]:
    """A gateway over a database and a queue of its own, with the demo upstream of `stack`."""
    url = make_database(servers.postgres, f"helicon_{name}")
    upgrade(url)
    own = {"HELICON_DATABASE_URL": url, "HELICON_REDIS_URL": f"{servers.valkey.url.removesuffix('/0')}/{number}"}
    with closing(open_database(url)) as database:
        other = Stack({**stack.environ, **own, **environ}, database, "", stack.demo_url, "", "", {})
        try:
            other.base_url = other.start_gateway(name)
            yield other
        finally:
            for part in reversed(other.parts.values()):
                part.stop()
