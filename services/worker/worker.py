"""A worker's process: its connections, its loop, and Celery around them."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from celery.signals import worker_shutting_down

from services.worker.events.publisher import Publisher
from services.worker.events.voice import Voice
from services.worker.loop import LoopThread
from services.worker.providers.providers import Providers, open_providers
from services.worker.providers.tokens import count_tokens
from services.worker.runs.active import ActiveRun, ActiveRuns, Interruption
from services.worker.runs.chat import ChatWork, recover_chat
from services.worker.runs.keeper import Keeper
from services.worker.runs.lifecycle import Lifecycle
from services.worker.runs.work import Work
from services.worker.tasks.run import register_run_task
from shared.bus.connection import open_redis
from shared.config import WorkerSettings
from shared.contracts.live import LiveSettings
from shared.queue import TaskQueue, make_celery
from shared.store.engine import open_database
from shared.store.runs import ClaimedRun, Made


@dataclass(frozen=True)
class _OnLoop:
    """The parts that live on the loop."""

    publisher: Publisher
    active: ActiveRuns
    providers: Providers


def run_worker(settings: WorkerSettings, live: LiveSettings, urls: Mapping[str, str]) -> int:
    """Execute runs until SIGTERM; let them go on for a while then, end them, and return Celery's exit code."""
    count_tokens("")  # load the vocabulary before the first chat has to wait for it
    with (
        closing(open_redis(settings.events, pool_size=settings.worker_pool)) as redis,
        closing(
            open_database(settings.database_url, pool_size=settings.worker_pool, wait_seconds=settings.database_seconds)
        ) as database,
        closing(TaskQueue(settings.redis_url, producers=1)) as queue,
        LoopThread() as loop,
        loop.entered(_on_loop(settings, live, urls)) as parts,
    ):

        def make_work(claimed: ClaimedRun, active: ActiveRun, voice: Voice) -> Work:
            return ChatWork(claimed, active, loop, voice, database, parts.providers.chat)

        lifecycle = Lifecycle(settings, database, redis, loop, parts.publisher, parts.active, make_work)

        async def interrupt() -> None:
            parts.active.interrupt_all(Interruption.RESTARTED)

        def recover(claimed: ClaimedRun, text: str) -> Made:
            return recover_chat(database, claimed, text)

        keeper = Keeper(settings, database, redis, queue, recover)
        with _kept(keeper), _drain(settings.drain_seconds, lambda: loop.run(interrupt())):
            return _run_celery(settings, lifecycle)


@asynccontextmanager
async def _on_loop(settings: WorkerSettings, live: LiveSettings, urls: Mapping[str, str]) -> AsyncGenerator[_OnLoop]:
    publisher = Publisher(settings.events)
    active = ActiveRuns(publisher, settings.events, settings.lease_seconds)
    async with open_providers(settings, live, urls) as providers, asyncio.TaskGroup() as group:
        services = [group.create_task(work) for work in (publisher.run(), active.keep_leases(), active.hear_stops())]
        yield _OnLoop(publisher, active, providers)
        for service in services:
            service.cancel()


@contextmanager
def _kept(keeper: Keeper) -> Generator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=keeper.keep, args=(ended,), name="keeper", daemon=True)
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
