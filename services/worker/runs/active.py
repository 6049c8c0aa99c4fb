"""The runs that this process executes now: how they are stopped, and how their leases are kept."""

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import structlog

from services.worker.events.publisher import Publisher
from shared.bus.leases import renew_commands
from shared.bus.names import stop_flag
from shared.store.runs.claim import ClaimedRun

log = structlog.get_logger()

T = TypeVar("T")


class Interruption(StrEnum):
    """Why a run was cut."""

    STOPPED = "stopped"
    RESTARTED = "restarted"
    OVERTAKEN = "overtaken"


class InterruptedRunError(Exception):
    """The run was cut before its end; `why` is an `Interruption`."""

    def __init__(self, why: Interruption) -> None:
        super().__init__(why)
        self.why = why


class ActiveRun:
    """One run that is executed, and the way to cut it."""

    def __init__(self, claimed: ClaimedRun) -> None:
        self.claimed = claimed
        self._interruption: Interruption | None = None
        self._task: asyncio.Task[Any] | None = None

    def interrupt(self, why: Interruption) -> None:
        """Cut what the run waits for, now or as soon as it begins. Call it on the loop."""
        self._interruption = self._interruption or why
        if self._task is not None:
            self._task.cancel()

    async def execute(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`, in the task that calls this.

        Raises:
            InterruptedRunError: `interrupt` was called before or meanwhile.
        """
        if self._interruption is not None:
            work.close()
            raise InterruptedRunError(self._interruption)
        self._task = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            if self._interruption is None:
                raise
            raise InterruptedRunError(self._interruption) from None
        finally:
            self._task = None


class ActiveRuns:
    """All of them, by id.

    Args:
        publisher: renews their leases.
        lease_seconds: how long a lease lives without being renewed.
    """

    def __init__(self, publisher: Publisher, lease_seconds: float) -> None:
        self._publisher = publisher
        self._lease_seconds = lease_seconds
        self._runs: dict[UUID, ActiveRun] = {}
        self._interruption: Interruption | None = None

    def add(self, claimed: ClaimedRun) -> ActiveRun:
        """Keep a run that was just claimed."""
        active = self._runs[claimed.id] = ActiveRun(claimed)
        if self._interruption is not None:
            active.interrupt(self._interruption)
        return active

    def remove(self, active: ActiveRun) -> None:
        """Forget a run that has ended."""
        if self._runs.get(active.claimed.id) is active:  # else a later attempt is executed here too
            del self._runs[active.claimed.id]

    def interrupt_all(self, why: Interruption) -> None:
        """Cut every run, and those that begin later. Call it on the loop."""
        self._interruption = why
        for active in list(self._runs.values()):
            active.interrupt(why)

    async def keep_leases(self) -> None:
        """Renew all leases, three times in the life of one, until cancelled."""
        while True:
            runs = [(run.claimed.id, run.claimed.attempt) for run in list(self._runs.values())]
            if self._publisher.idle:  # while Redis is away one renewal waits, not all of them
                self._publisher.send(renew_commands(runs, self._lease_seconds))
            await asyncio.sleep(self._lease_seconds / 3)

    async def stop_flagged(self, redis: Any) -> None:  # noqa: ANN401 - redis.asyncio is typed in part
        """Cut the runs that somebody stopped while nobody listened."""
        runs = list(self._runs)
        if not runs:
            return
        flags = await redis.mget([stop_flag(run) for run in runs])
        for run, flag in zip(runs, flags, strict=True):
            if flag is not None:
                self.stop(str(run))

    def stop(self, run: str) -> None:
        """Cut a run that somebody stops, if it is here."""
        active = self._runs.get(UUID(run))
        if active is not None:
            log.info("run.stopping", run=run)
            active.interrupt(Interruption.STOPPED)
