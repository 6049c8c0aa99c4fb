"""What the surfaces stand on: the process's connections and use cases, made once."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import gevent
import structlog
from gevent.lock import BoundedSemaphore
from redis import Redis

from services.gateway.streaming.relay import Relay
from services.gateway.usecases.accounts import Accounts
from services.gateway.usecases.chats import Chats
from services.gateway.usecases.commands import Commands
from services.gateway.usecases.configuration import Configuration
from services.gateway.usecases.mcp_servers import McpServers
from services.gateway.usecases.prompts import Prompts
from services.gateway.usecases.queues import QueueLimit
from services.gateway.usecases.rates import Rates
from services.gateway.usecases.records import Records
from services.gateway.usecases.runs import Runs
from services.gateway.usecases.told_models import ToldModels
from services.gateway.usecases.users import Users
from shared.bus.connection import open_redis
from shared.bus.names import CHANGES
from shared.bus.rates import RateLimits
from shared.catalogue.catalogue import load_catalogue
from shared.config import GatewaySettings
from shared.contracts.live import LiveSettings
from shared.contracts.offers import Offers
from shared.domain.errors import HeliconError
from shared.live_configuration import LiveConfiguration
from shared.queue import TaskQueue
from shared.store.engine import Database, open_database
from shared.store.sealing import Sealer, WrongSecretKeyError

log = structlog.get_logger()


@dataclass(frozen=True)
class Gateway:
    """A gateway's process."""

    settings: GatewaySettings
    live_configuration: LiveConfiguration
    configuration: Configuration
    mcp_servers: McpServers
    database: Database
    broker: Redis
    events: Redis
    relay: Relay
    accounts: Accounts
    rates: Rates
    chats: Chats
    prompts: Prompts
    runs: Runs
    users: Users
    records: Records

    @property
    def live(self) -> LiveSettings:
        """The live settings in force."""
        return self.live_configuration.settings()

    def keep_settings(self, refused: Callable[[], None]) -> None:
        """Read the live settings, and from now on again whenever they were changed.

        Args:
            refused: called when the database says that the secret key is another one, now or when Postgres is back.
        """
        live = self.live_configuration

        def keep() -> None:
            try:
                live.keep(threading.Event())
            except WrongSecretKeyError:
                refused()

        try:
            live.reload()
        except WrongSecretKeyError:
            refused()
        except HeliconError as error:
            log.warning("gateway.without_settings", error=error.message)
        gevent.spawn(keep)


class _FairPlaces:
    """A gevent semaphore as a `shared.store.engine.Limiter`: greenlets get connections in the order of asking."""

    def __init__(self, places: int) -> None:
        self._semaphore = BoundedSemaphore(places)

    def acquire(self, *, timeout: float) -> bool:
        """Take a place within `timeout` seconds."""
        return self._semaphore.acquire(timeout=timeout)

    def release(self) -> None:
        """Give the place back."""
        self._semaphore.release()


def make_gateway(settings: GatewaySettings, started: LiveSettings, urls: Mapping[str, str]) -> Gateway:
    """Connect a gateway's parts, and begin to hear what Redis says; nothing else is asked of Redis or Postgres yet.

    Args:
        settings: of the process.
        started: the live settings that the process was started with.
        urls: of the providers, by name.
    """
    database = open_database(
        settings.database_url,
        pool_size=settings.gateway_pool,
        wait_seconds=settings.database_seconds,
        limiter=_FairPlaces(settings.gateway_pool),
    )
    events = open_redis(settings.events, pool_size=settings.gateway_pool)
    sealer = Sealer(settings.secret_key)
    live = LiveConfiguration(started, database, sealer, opens_secrets=False)
    relay = Relay(
        settings.events,
        backlog=settings.stream_backlog,
        tick_seconds=settings.ping_seconds,
        notices={CHANGES: live.wake},
    )
    relay.start()
    offers = Offers(live.settings, load_catalogue(), urls, ToldModels(events).read)
    broker = open_redis(settings.redis_url, pool_size=settings.queue_connections)
    queue = TaskQueue(broker)
    limit = QueueLimit(broker, settings.queue_limit)
    runs = Runs(database, events, relay, queue, limit, settings.event_seconds)
    chats = Chats(database, runs, offers)
    commands = Commands(database, offers, chats, runs)
    return Gateway(
        settings=settings,
        live_configuration=live,
        configuration=Configuration(live, database, events, sealer),
        mcp_servers=McpServers(database, sealer, programs=settings.mcp_stdio),
        database=database,
        broker=broker,
        events=events,
        relay=relay,
        accounts=Accounts(database, settings.key_cache_seconds),
        rates=Rates(RateLimits(events, settings.rate_seconds), settings),
        chats=chats,
        prompts=Prompts(live.settings, commands),
        runs=runs,
        users=Users(database, offers),
        records=Records(database),
    )
