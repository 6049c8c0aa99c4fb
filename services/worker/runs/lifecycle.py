"""The life of a run in a worker: claimed once, executed, settled once, and ended with exactly one last event."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import structlog
from redis import Redis

from services.worker.events.publisher import Publisher
from services.worker.events.voice import Voice
from services.worker.loop import LoopThread
from services.worker.providers.errors import ProviderError
from services.worker.runs.active import ActiveRun, ActiveRuns, InterruptedRunError, Interruption
from services.worker.runs.work import Work
from shared.bus.leases import take_lease
from shared.config import WorkerSettings
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.store.engine import Database
from shared.store.runs import ClaimedRun, RunEnd, claim_run, settle_run

log = structlog.get_logger()

T = TypeVar("T")

CLAIM_SECONDS = 30
"""How long a worker tries to claim a run that it was sent while Postgres is away."""
SETTLE_SECONDS = 600
"""How long a worker tries to save what was made while Postgres is away."""
LONGEST_BACKOFF = 2.0

MakeWork = Callable[[ClaimedRun, ActiveRun, Voice], Work]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the work ended."""

    state: RunState
    error_code: str | None = None
    error: str | None = None


_SUCCEEDED = _Outcome(RunState.SUCCEEDED)
_INTERRUPTED = {
    Interruption.STOPPED: _Outcome(RunState.STOPPED),
    Interruption.RESTARTED: _Outcome(
        RunState.FAILED, ErrorCode.RESTARTED, "The service restarted; the partial answer was kept. Ask again."
    ),
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
        claimed = _persistently(lambda: claim_run(self._database, run), CLAIM_SECONDS)
        if claimed is None:
            log.info("run.not_claimed", run=str(run))
            return
        began = time.monotonic()
        active = self._active.add(claimed)
        try:
            voice = Voice(self._publisher, claimed, self._settings.coalesce_ms / 1000)
            work = self._make_work(claimed, active, voice)
            outcome = self._do(work, claimed)
            self._end(claimed, voice, work, outcome)
        finally:
            self._active.remove(active)
        seconds = round(time.monotonic() - began, 3)
        log.info("run.ended", run=str(run), state=outcome.state, code=outcome.error_code, seconds=seconds)

    def _do(self, work: Work, claimed: ClaimedRun) -> _Outcome:
        try:
            if take_lease(self._redis, claimed.id, claimed.attempt, self._settings.lease_seconds):
                return _INTERRUPTED[Interruption.STOPPED]
            work.do()
        except InterruptedRunError as interrupted:
            return _INTERRUPTED[interrupted.why]
        except (ProviderError, HeliconError) as error:
            return _Outcome(RunState.FAILED, error.code, error.message)
        except Exception:
            log.exception("run.crashed", run=str(claimed.id))
            return _Outcome(RunState.FAILED, ErrorCode.INTERNAL, "Something went wrong on our side.")
        return _SUCCEEDED

    def _end(self, claimed: ClaimedRun, voice: Voice, work: Work, outcome: _Outcome) -> None:
        run, end = claimed.id, RunEnd(outcome.state, work.made(), outcome.error_code, outcome.error)
        settled = _persistently(lambda: settle_run(self._database, run, claimed.attempt, end), SETTLE_SECONDS)
        if not settled:
            log.warning("run.overtaken", run=str(run), attempt=claimed.attempt)
            return
        self._loop.run(voice.close(end.event, self._settings.event_seconds))


def _persistently(work: Callable[[], T], seconds: float) -> T:
    """Do `work`, again and again while Postgres is away, for `seconds` at most.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED, it is still away.
    """
    deadline = time.monotonic() + seconds
    backoff = 0.1
    while True:
        try:
            return work()
        except HeliconError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("run.write_again", error=error.message)
        time.sleep(backoff)
        backoff = min(backoff * 2, LONGEST_BACKOFF)
