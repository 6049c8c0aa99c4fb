"""A worker's process: its connections, its loop, and Celery around them."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
from celery.signals import worker_shutting_down

from services.worker.events.listener import Listener, listen
from services.worker.events.publisher import Publisher
from services.worker.loop import LoopThread, end_tasks
from services.worker.providers.providers import Providers, open_providers
from services.worker.providers.tokens import count_tokens
from services.worker.runs.active import ActiveRuns, Interruption
from services.worker.runs.keeper import Keeper
from services.worker.runs.kinds import Kinds
from services.worker.runs.lifecycle import Lifecycle
from services.worker.tasks.run import register_run_task
from services.worker.told_models import ToldModels
from shared.bus.connection import open_redis
from shared.bus.names import CHANGES, STOPS
from shared.catalogue.catalogue import load_catalogue
from shared.config import WorkerSettings
from shared.contracts.live import LiveSettings
from shared.contracts.offers import Offers
from shared.domain.errors import HeliconError
from shared.live_configuration import LiveConfiguration
from shared.queue import TaskQueue, make_celery
from shared.store.engine import Database, open_database
from shared.store.sealing import Sealer

log = structlog.get_logger()


@dataclass(frozen=True)
class _OnLoop:
    """The parts that live on the loop."""

    publisher: Publisher
    active: ActiveRuns
    providers: Providers


def run_worker(settings: WorkerSettings, started: LiveSettings, urls: Mapping[str, str]) -> int:
    """Execute runs until SIGTERM; let them go on for a while then, end them, and return Celery's exit code.

    Args:
        settings: of the process.
        started: the live settings that the process was started with.
        urls: of the providers, by name.
    """
    count_tokens("")  # load the vocabulary before the first chat has to wait for it
    pool_size, wait_seconds = settings.worker_pool, settings.database_seconds
    with (
        closing(open_redis(settings.events, pool_size=pool_size)) as redis,
        closing(open_database(settings.database_url, pool_size=pool_size, wait_seconds=wait_seconds)) as database,
        closing(open_redis(settings.redis_url, pool_size=1)) as broker,
        _live(settings, started, database) as live,
        LoopThread() as loop,
        loop.entered(_on_loop(settings, live, Offers(live.settings, load_catalogue(), urls)), _end_process) as parts,
    ):
        kinds = Kinds(database, loop, parts.providers)
        lifecycle = Lifecycle(settings, database, redis, loop, parts.publisher, parts.active, kinds.make_work)
        keeper = Keeper(settings, database, redis, TaskQueue(broker), kinds.recover)

        async def interrupt() -> None:
            parts.active.interrupt_all(Interruption.RESTARTED)

        with _beside("keeper", keeper.keep), _drain(settings.drain_seconds, lambda: loop.run(interrupt())):
            return _run_celery(settings, lifecycle)


@contextmanager
def _live(settings: WorkerSettings, started: LiveSettings, database: Database) -> Generator[LiveConfiguration]:
    """The live configuration, kept up to date in a thread of its own."""
    live = LiveConfiguration(started, database, Sealer(settings.secret_key), opens_secrets=True)
    while not _is_read(live):
        time.sleep(1)
    with _beside("live", live.keep):
        yield live


def _is_read(live: LiveConfiguration) -> bool:
    """Read the live configuration; False while Postgres is away."""
    try:
        live.reload()
    except HeliconError as error:
        log.warning("worker.waiting", error=error.message)
        return False
    return True


@asynccontextmanager
async def _on_loop(settings: WorkerSettings, live: LiveConfiguration, offers: Offers) -> AsyncGenerator[_OnLoop]:
    publisher = Publisher(settings.events)
    active = ActiveRuns(publisher, settings.lease_seconds)

    async def look_again(_redis: object) -> None:
        live.wake()

    listeners = {
        STOPS: Listener(active.stop, active.stop_flagged),
        CHANGES: Listener(lambda _: live.wake(), look_again),
    }
    async with open_providers(settings, offers) as providers, asyncio.TaskGroup() as group:
        told = ToldModels(providers, offers, publisher)
        works = (publisher.run(), active.keep_leases(), listen(settings.events, listeners), told.keep())
        services = [group.create_task(work) for work in works]
        try:
            yield _OnLoop(publisher, active, providers)
            await publisher.flush()  # the last runs' ends
        finally:
            await end_tasks(services)


def _end_process() -> None:
    """Shut down as on SIGTERM: without what lives on the loop no run can be executed."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _beside(name: str, work: Callable[[threading.Event], None]) -> Generator[None]:
    """Let `work` go on in a thread of its own until its event is set."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _drain(seconds: float, interrupt: Callable[[], None]) -> Generator[None]:
    """When Celery begins to shut down, interrupt what still runs `seconds` later: Celery waits for every task."""
    timer = threading.Timer(seconds, interrupt)

    def begin(**_signal: object) -> None:
        if not timer.is_alive():
            timer.start()

    worker_shutting_down.connect(begin, weak=False)
    try:
        yield
    finally:
        worker_shutting_down.disconnect(begin)
        timer.cancel()


def _run_celery(settings: WorkerSettings, lifecycle: Lifecycle) -> int:
    celery = make_celery(settings.redis_url)
    register_run_task(celery, lifecycle)
    worker: Any = cast("Any", celery).Worker(
        pool="threads",
        concurrency=settings.worker_concurrency,
        queues=settings.worker_queues,
        task_events=settings.worker_events,
        without_heartbeat=not settings.worker_events,
        without_mingle=True,
        without_gossip=True,
        loglevel=settings.log_level.upper(),
        quiet=True,
    )
    worker.start()
    return worker.exitcode or 0
