"""What a process is told when it starts, read once from the environment into frozen objects.

Every setting is `HELICON_<NAME>`; the command line turns its flags into the same names. The README's table is made
from these classes and from `shared.contracts.live`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.catalogue.catalogue import load_catalogue
from shared.contracts.apps import MOST_REQUESTS
from shared.contracts.live import Base, LiveSettings, Llm
from shared.contracts.live_fields import SECRET, SECRET_PARTS, TextList

PREFIX = "HELICON_"
WRONG_KEY = "HELICON_SECRET_KEY is not the key that the secrets in this database were sealed with: set that one again"


class ConfigurationError(Exception):
    """A setting that can't be used; the message is one line that names it and says what it may be."""


def _on_or_off(value: object) -> object:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_on_or_off)]


def _redis_url(value: str) -> str:
    url = urlsplit(value)
    if value and (url.scheme not in {"redis", "rediss"} or not re.fullmatch(r"/?\d*", url.path)):
        raise ValueError("must look like redis://user:password@host:port/0")
    return value


def _postgres_url(value: str) -> str:
    if value and urlsplit(value).scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("must look like postgresql://user:password@host/name")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"https?://[^/?#\s]+", origin):
            raise ValueError("must be a list like https://example.com,http://localhost:3000")
    return tuple(origin.lower() for origin in value)


Origins = Annotated[TextList, AfterValidator(_origins)]
PostgresUrl = Annotated[str, AfterValidator(_postgres_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]


class Settings(BaseModel):
    """What every process needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: PostgresUrl = Field(
        default="", description="Postgres, postgresql://user:password@host/name", json_schema_extra=SECRET
    )
    redis_url: RedisUrl = Field(default="", description="Redis or Valkey for the queues", json_schema_extra=SECRET)
    events_url: RedisUrl = Field(
        default="", description="Redis or Valkey for events; empty: the same", json_schema_extra=SECRET
    )
    secret_key: str = Field(
        default="",
        description="Seals the secrets in the database: any long text that nobody can guess",
        json_schema_extra=SECRET,
    )
    mcp_stdio: Switch = Field(
        default=False, description="on: MCP servers may be programs, which workers run; `helicon up`: on"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, else JSON"
    )
    event_seconds: int = Field(default=3600, ge=60, description="How long a run's events are kept after its end, s")
    database_seconds: float = Field(
        default=10, gt=0, description="Longest statement, and longest wait for a connection, s"
    )
    drain_seconds: float = Field(default=25, ge=0, description="How long runs and streams may go on after SIGTERM, s")

    @property
    def events(self) -> str:
        """URL of the Redis that carries events."""
        return self.events_url or self.redis_url


class GatewaySettings(Settings):
    """What a gateway needs to know."""

    host: str = Field(default="127.0.0.1", description="Address that the gateway listens on")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port that the gateway listens on")
    gateway_processes: int = Field(default=1, ge=1, le=64, description="Processes of a gateway")
    gateway_connections: int = Field(default=4000, ge=10, description="Open connections of a gateway's process at most")
    gateway_pool: int = Field(default=8, ge=1, description="Postgres connections of a gateway's process")
    queue_limit: int = Field(default=1000, ge=1, description="Runs that a queue may hold; beyond it requests get 503")
    queue_connections: int = Field(default=4, ge=1, description="Connections to the queue of a gateway's process")
    rate_per_key: int = Field(
        default=0, ge=0, le=MOST_REQUESTS, description="Prompts within the window with one key of an app; 0: any number"
    )
    rate_per_user: int = Field(
        default=0, ge=0, le=MOST_REQUESTS, description="Prompts within the window of one user of an app; 0: any number"
    )
    rate_per_admin_key: int = Field(
        default=0, ge=0, le=MOST_REQUESTS, description="Requests within the window with one admin key; 0: any number"
    )
    rate_seconds: int = Field(default=60, ge=1, le=86_400, description="Window of these limits, s")
    muse_auth: Switch = Field(default=True, description="off: the Muse API asks for no key (loopback only)")
    max_body_bytes: int = Field(default=20 * 1024 * 1024, ge=1024, description="Longest request body, bytes")
    max_line_bytes: int = Field(
        default=64 * 1024, ge=1024, description="Longest request target (path and query), bytes"
    )
    blocking_seconds: float = Field(default=100, gt=0, description="Longest wait of a blocking answer, s")
    ping_seconds: float = Field(default=10, gt=0, description="Silence on a stream before a ping, s")
    write_seconds: float = Field(default=60, gt=0, description="Silence of a reader that takes nothing, s")
    origins: Origins = Field(
        default=(), description="Web pages of other hosts that may ask, also by WebSocket: https://example.com,…"
    )
    ws_auth_seconds: float = Field(default=10, gt=0, description="Longest wait for a WebSocket's first message, s")
    ws_ping_seconds: float = Field(default=20, gt=0, description="Time between two pings on a WebSocket, s")
    ws_idle_seconds: float = Field(
        default=600, gt=0, description="A WebSocket without a run or a message is closed after it, s"
    )
    key_cache_seconds: float = Field(
        default=3, gt=0, le=5, description="How long a key or an app is believed unchanged, s"
    )
    stream_backlog: int = Field(
        default=1000, ge=10, description="Events that wait for a slow reader before it is cut off"
    )


class WorkerSettings(Settings):
    """What a worker needs to know."""

    worker_queues: str = Field(default="chat,default", description="Queues that the worker takes runs from")
    worker_concurrency: int = Field(default=256, ge=1, le=4096, description="Runs of a worker's process at once")
    worker_pool: int = Field(default=8, ge=1, description="Postgres connections of a worker's process")
    worker_events: Switch = Field(default=False, description="on: Celery events, for Flower")
    coalesce_ms: float = Field(default=20, ge=0, le=1000, description="Deltas of a run within this time are joined, ms")
    lease_seconds: float = Field(default=6, ge=1, description="How long a run's lease lives without its worker, s")
    queue_seconds: float = Field(default=60, gt=0, description="Longest wait of a chat in its queue, s")
    connect_seconds: float = Field(default=10, gt=0, description="Longest wait for a provider's connection, s")
    first_token_seconds: float = Field(default=60, gt=0, description="Longest wait for an answer's first token, s")
    next_token_seconds: float = Field(default=60, gt=0, description="Longest wait between two tokens, s")
    answer_seconds: float = Field(default=900, gt=0, description="Longest answer, s")


class LauncherSettings(GatewaySettings, WorkerSettings):
    """What `helicon up` needs to know: all of it, and where to keep the data."""

    data: str = Field(default="./.helicon", description="Folder of `helicon up`: database, keys, credentials")
    workers: int = Field(default=1, ge=1, le=64, description="Worker processes that `helicon up` starts")
    demo: Switch = Field(default=True, description="off: no demo upstream, also without any provider key")


S = TypeVar("S", bound=BaseModel)


def read_settings(kind: type[S], environ: Mapping[str, str], *, section: str = "") -> S:
    """Make a settings object from `HELICON_*` variables; an empty variable counts as absent.

    Raises:
        ConfigurationError: a value is of the wrong type or out of range.
    """
    prefix = PREFIX + (section.upper() + "_" if section else "")
    values = {name: environ[prefix + name.upper()] for name in kind.model_fields if environ.get(prefix + name.upper())}
    return _checked(kind, values, prefix)


def read_live_settings(environ: Mapping[str, str]) -> LiveSettings:
    """The live settings that environment and flags give: `HELICON_MAX_TOKENS`, and the vendors' own `OPENAI_API_KEY`.

    Raises:
        ConfigurationError: a value is of the wrong type or out of range.
    """
    vendors = {
        name: environ[provider.key_env]
        for name, provider in load_catalogue().providers.items()
        if environ.get(provider.key_env)
    }
    merged = {**{f"{PREFIX}{name.upper()}_TOKEN": key for name, key in vendors.items()}, **environ}
    if len(vendors) == 1:
        merged.setdefault(f"{PREFIX}TYPE", *vendors)  # the one provider that there is a key for
    return LiveSettings(base=read_settings(Base, merged), llm=read_settings(Llm, merged))


def require(settings: Settings, *names: str) -> None:
    """Refuse to start without settings that have no default.

    Raises:
        ConfigurationError: one of `names` is not set.
    """
    for name in names:
        if not getattr(settings, name):
            raise ConfigurationError(f"{PREFIX}{name.upper()} is not set")


def read_provider_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """Base URLs by provider: the vendor's variable (`OPENAI_BASE_URL`), else the catalogue's."""
    return {name: environ.get(row.url_env) or row.url for name, row in load_catalogue().providers.items()}


def _checked(kind: type[S], values: dict[str, Any], prefix: str) -> S:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        words = first["msg"].removeprefix("Value error, ")
        shown = "" if kind.model_fields[name].json_schema_extra in (SECRET, SECRET_PARTS) else f"={values[name]!r}"
        raise ConfigurationError(f"{prefix}{name.upper()}{shown}: {words}") from error
