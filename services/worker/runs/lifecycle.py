"""The life of a run in a worker: claimed once, executed, settled once, and ended with exactly one last event."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

import structlog
import uuid_utils.compat as uuids
from redis import Redis

from services.worker.events.publisher import Publisher
from services.worker.events.voice import Voice
from services.worker.loop import LoopThread
from services.worker.runs.active import ActiveRun, ActiveRuns, InterruptedRunError, Interruption
from services.worker.runs.patience import persistently
from services.worker.runs.work import Work
from shared.bus.leases import take_lease
from shared.config import WorkerSettings
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.store.engine import Database, RefusedCallError
from shared.store.runs.claim import ClaimedRun, claim_run
from shared.store.runs.settle import RunEnd, Settled, settle_run

log = structlog.get_logger()

CLAIM_SECONDS = 30
"""How long a worker tries to begin a run that it was sent while Postgres or Redis is away."""
SETTLE_SECONDS = 600
"""How long a worker tries to save what was made while Postgres is away."""

MakeWork = Callable[[ClaimedRun, ActiveRun, Voice], Work]


_SUCCEEDED = RunEnd(RunState.SUCCEEDED)
_CRASHED = RunEnd(RunState.FAILED, error_code=ErrorCode.INTERNAL, error="Something went wrong on our side.")
_INTERRUPTED = {
    Interruption.STOPPED: RunEnd(RunState.STOPPED),
    Interruption.RESTARTED: RunEnd(
        RunState.FAILED,
        error_code=ErrorCode.RESTARTED,
        error="The service restarted; the partial answer was kept. Ask again.",
    ),
    # Whoever took the run away ends it; this is refused.
    Interruption.OVERTAKEN: RunEnd(RunState.FAILED, error_code=ErrorCode.WORKER_LOST, error="The worker was lost."),
}


class Lifecycle:
    """Executes runs.

    Args:
        settings: of the worker.
        database: where runs are kept.
        redis: where leases are kept.
        loop: where what runs say is sent.
        publisher: sends it.
        active: the process's runs.
        make_work: the work of a claimed run, by the kind of its job.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        database: Database,
        redis: Redis,
        loop: LoopThread,
        publisher: Publisher,
        active: ActiveRuns,
        make_work: MakeWork,
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = redis
        self._loop = loop
        self._publisher = publisher
        self._active = active
        self._make_work = make_work

    def execute(self, run: UUID) -> None:
        """Execute a run to its end, unless another worker has it or it has ended."""
        claim = uuids.uuid7()
        claimed = persistently(lambda: claim_run(self._database, run, claim), CLAIM_SECONDS)
        if claimed is None:
            log.info("run.not_claimed", run=str(run))
            return
        with structlog.contextvars.bound_contextvars(run=str(run), attempt=claimed.attempt):
            began = time.monotonic()
            active = self._active.add(claimed)
            try:
                overtaken = partial(active.interrupt, Interruption.OVERTAKEN)
                voice = Voice(self._publisher, claimed, self._settings.coalesce_ms / 1000, overtaken)
                end = self._attempt(claimed, active, voice)
                self._end(claimed, voice, end)
            finally:
                self._active.remove(active)
            seconds = round(time.monotonic() - began, 3)
            log.info("run.ended", state=end.state, code=end.error_code, seconds=seconds)

    def _attempt(self, claimed: ClaimedRun, active: ActiveRun, voice: Voice) -> RunEnd:
        """Do the work of a run; whatever happens, there is an end of it."""
        try:
            work = self._make_work(claimed, active, voice)
            return replace(self._do(work, claimed), made=work.made())
        except Exception:
            log.exception("run.crashed")
            return _CRASHED

    def _do(self, work: Work, claimed: ClaimedRun) -> RunEnd:
        try:
            if self._take_lease(claimed):
                return _INTERRUPTED[Interruption.STOPPED]
            work.do()
        except InterruptedRunError as interrupted:
            return _INTERRUPTED[interrupted.why]
        except HeliconError as error:
            return RunEnd(RunState.FAILED, error_code=error.code, error=error.message)
        except Exception:
            log.exception("run.crashed")
            return _CRASHED
        return _SUCCEEDED

    def _take_lease(self, claimed: ClaimedRun) -> bool:
        """Take the lease; whether the run was asked to be stopped before."""
        seconds = self._settings.lease_seconds
        return persistently(lambda: take_lease(self._redis, claimed.id, claimed.attempt, seconds), CLAIM_SECONDS)

    def _end(self, claimed: ClaimedRun, voice: Voice, end: RunEnd) -> None:
        try:
            settled = self._settle(claimed, end)
        except RefusedCallError:
            log.exception("run.not_settled")  # what was made can't be kept: at least it is ended, and nothing is paid
            end = _CRASHED
            settled = self._settle(claimed, end)
        if settled == "overtaken":
            log.warning("run.overtaken")
            return
        self._loop.call(lambda: voice.close(end.event, self._settings.event_seconds))

    def _settle(self, claimed: ClaimedRun, end: RunEnd) -> Settled:
        settlement = uuids.uuid7()
        return persistently(
            lambda: settle_run(self._database, claimed.id, claimed.attempt, end, settlement), SETTLE_SECONDS
        )
