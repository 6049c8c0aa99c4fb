"""What the surfaces stand on: the process's connections and use cases, made once."""

from dataclasses import dataclass

from gevent.lock import BoundedSemaphore
from redis import Redis

from services.gateway.streaming.relay import Relay
from services.gateway.usecases.accounts import Accounts
from services.gateway.usecases.chats import Chats
from services.gateway.usecases.commands import Commands
from services.gateway.usecases.queues import QueueLimit
from services.gateway.usecases.rates import Rates
from services.gateway.usecases.runs import Runs
from shared.bus.connection import open_redis
from shared.bus.rates import RateLimits
from shared.config import GatewaySettings
from shared.contracts.live import LiveSettings
from shared.contracts.offers import Offers
from shared.queue import TaskQueue
from shared.store.engine import Database, open_database


@dataclass(frozen=True)
class Gateway:
    """A gateway's process."""

    settings: GatewaySettings
    live: LiveSettings
    database: Database
    broker: Redis
    events: Redis
    relay: Relay
    accounts: Accounts
    rates: Rates
    chats: Chats
    commands: Commands
    runs: Runs


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


def make_gateway(settings: GatewaySettings, offers: Offers) -> Gateway:
    """Connect a gateway's parts; nothing is asked of Postgres or Redis yet but the relay's subscription."""
    database = open_database(
        settings.database_url,
        pool_size=settings.gateway_pool,
        wait_seconds=settings.database_seconds,
        limiter=_FairPlaces(settings.gateway_pool),
    )
    events = open_redis(settings.events, pool_size=settings.gateway_pool)
    relay = Relay(settings.events, backlog=settings.stream_backlog, tick_seconds=settings.ping_seconds)
    relay.start()
    broker = open_redis(settings.redis_url, pool_size=settings.queue_connections)
    queue = TaskQueue(broker)
    limit = QueueLimit(broker, settings.queue_limit)
    runs = Runs(database, events, relay, queue, limit, settings.event_seconds)
    return Gateway(
        settings=settings,
        live=offers.live,
        database=database,
        broker=broker,
        events=events,
        relay=relay,
        accounts=Accounts(database, settings.key_cache_seconds),
        rates=Rates(RateLimits(events, settings.rate_seconds), settings),
        chats=Chats(database, runs, offers),
        commands=Commands(database, offers.live),
        runs=runs,
    )
