"""Looks after the runs that nobody looks after: those of workers that are gone, and those that were never taken.

Every worker has a keeper; a Redis lock lets one of them work at a time. The lock only saves work: every step is a
compare-and-set on the run's row, so two keepers at once do no harm. A worker that seems lost may only have been slow:
its run is taken over in the database first, then fenced off in Redis, and only then judged by what it said.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import UUID

import structlog
import uuid_utils.compat as uuids
from redis import Redis

from shared.bus.connection import send
from shared.bus.event_log import Entry, append_events, closing_commands, fence_off, log_age
from shared.bus.leases import lost_runs, unsaid_runs
from shared.bus.names import KEEPER
from shared.config import WorkerSettings
from shared.contracts.events import Closed, Event, Replaced, Text, decode
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.queue import TaskQueue
from shared.store.engine import Database
from shared.store.runs.claim import ClaimedRun, load_run
from shared.store.runs.lost import OpenRun, count_send, open_runs, requeue_run, take_over_run
from shared.store.runs.read import read_runs
from shared.store.runs.settle import NOTHING, Made, RunEnd, settle_run

log = structlog.get_logger()

TICK_SECONDS = 2.0
RUNS_A_TICK = 500
MOST_WORKERS = 3
"""How many workers a run may lose before it has said anything; each takes two attempts, its own and the keeper's."""
SEND_AGAIN_SECONDS = {1: 5, 2: 15, 3: 45}
"""How long a run waits in its queue before it is sent again, by how often it was sent: its task may be lost."""
GRACE_SECONDS = 10
"""After a start of Redis its leases are not judged for so long: workers have to renew them first."""

Recover = Callable[[ClaimedRun, str], Made]
"""What a run that said some text has made, by the kind of its job."""


class Keeper:
    """Looks after lost runs, every two seconds.

    Args:
        settings: of the worker.
        database: where runs are kept.
        redis: where leases and events are kept.
        queue: where lost runs are sent again.
        recover: what a lost run had made.
    """

    def __init__(
        self, settings: WorkerSettings, database: Database, redis: Redis, queue: TaskQueue, recover: Recover
    ) -> None:
        self._settings = settings
        self._database = database
        self._redis = redis
        self._queue = queue
        self._recover = recover
        self._log_age = 0.0

    def keep(self, ended: threading.Event) -> None:
        """Work until `ended`; what is away is tried again at the next tick."""
        work = self._look_at_log  # before this worker takes its first run
        while True:
            try:
                work()
            except HeliconError as error:
                log.warning("keeper.away", error=error.message)
            except Exception:
                log.exception("keeper.crashed")
            if ended.wait(TICK_SECONDS):
                return
            work = self.tick

    def tick(self) -> None:
        """Look after everything once, unless another keeper just did.

        Raises:
            HeliconError: Postgres, Redis or the queue is away.
        """
        lock = ("SET", KEEPER, b"1", "NX", "PX", int(TICK_SECONDS * 900))
        locked, server = send(self._redis, [lock, ("INFO", "server")])
        if not locked:
            return
        self._look_at_log()
        self._look_after_queued()
        if _uptime(server) >= GRACE_SECONDS:
            self._take_over_lost()
            self._say_missing_ends()

    def _look_at_log(self) -> None:
        self._log_age = log_age(self._redis)

    def _look_after_queued(self) -> None:
        with self._database.read() as session:
            waiting = open_runs(
                session, RunState.QUEUED, older_than=min(SEND_AGAIN_SECONDS.values()), limit=RUNS_A_TICK
            )
        for run in waiting:
            with _unless_it_crashes(run.id):
                self._look_after(run)

    def _look_after(self, run: OpenRun) -> None:
        if run.age > self._settings.queue_seconds:
            words = f"The run waited longer than {self._settings.queue_seconds:g} s for a worker. Try again later."
            self._end(run, run.attempt, RunEnd(RunState.FAILED, NOTHING, ErrorCode.QUEUE_TIMEOUT, words))
        elif run.age > SEND_AGAIN_SECONDS.get(run.sends, float("inf")) and count_send(self._database, run):
            log.info("run.sent_again", run=str(run.id), sends=run.sends + 1)
            self._queue.send(run.queue, run.id)

    def _take_over_lost(self) -> None:
        with self._database.read() as session:
            running = open_runs(session, RunState.RUNNING, older_than=self._settings.lease_seconds)
        lost = lost_runs(self._redis, {run.id: run.attempt for run in running})
        for run in [run for run in running if run.id in lost][:RUNS_A_TICK]:
            with _unless_it_crashes(run.id):
                self._take_over(run)

    def _take_over(self, run: OpenRun) -> None:
        attempt = run.attempt + 1
        if not take_over_run(self._database, run.id, run.attempt):
            return  # it has ended, or another keeper was faster
        said = fence_off(self._redis, run.id, attempt)
        known = run.age < self._log_age  # else it may have said what Redis has lost since: it is not run twice
        if not said and known and attempt < 2 * MOST_WORKERS:
            if requeue_run(self._database, run.id, attempt):
                log.warning("run.queued_again", run=str(run.id), attempt=run.attempt)
                self._queue.send(run.queue, run.id)
            return
        words = "The worker was lost in mid-answer; the partial answer was kept. Ask again."
        made = self._made(run, _text(said))
        self._end(run, attempt, RunEnd(RunState.FAILED, made, ErrorCode.WORKER_LOST, words))

    def _made(self, run: OpenRun, text: str) -> Made:
        with self._database.read() as session:
            claimed = load_run(session, run.id)
        if claimed is None or not text:
            return NOTHING
        try:
            return self._recover(claimed, text)
        except Exception:
            log.exception("run.not_recovered", run=str(run.id))  # a newer version's: it has to end all the same
            return NOTHING

    def _end(self, run: OpenRun, attempt: int, end: RunEnd) -> None:
        settled = settle_run(self._database, run.id, attempt, end, uuids.uuid7(), since=run.state)
        if settled == "settled":
            log.warning("run.ended_by_keeper", run=str(run.id), code=end.error_code)
            self._say_end(run.id, attempt, end.made.answer, end.event)

    def _say_missing_ends(self) -> None:
        """Runs that ended in the database, but whose worker was lost before it could say so."""
        lost = lost_runs(self._redis, unsaid_runs(self._redis))
        with self._database.read() as session:
            ended = [run for run in read_runs(session, [*lost]) if run.state.final]
        for run in ended[:RUNS_A_TICK]:
            log.warning("run.end_said_by_keeper", run=str(run.id))
            with _unless_it_crashes(run.id):
                self._say_end(run.id, run.attempt, run.answer, run.event)

    def _say_end(self, run: UUID, attempt: int, answer: str, end: Event) -> None:
        """Say what `attempt`, which ended the run, has not said: the rest of the answer, and the end."""
        said = fence_off(self._redis, run, attempt + 1)
        if said and isinstance(decode(said[-1][1]), Closed):
            send(self._redis, closing_commands(run, self._settings.event_seconds))
            return
        events = [*_rest(answer, _text(said)), end, Closed()] if said else [end, Closed()]
        append_events(self._redis, run, attempt + 1, said, events, self._settings.event_seconds)


@contextmanager
def _unless_it_crashes(run: UUID) -> Generator[None]:
    """Look after a run; one that can't be looked after must not keep the keeper from all others."""
    try:
        yield
    except HeliconError:
        raise
    except Exception:
        log.exception("keeper.crashed", run=str(run))


def _text(said: list[Entry]) -> str:
    """The text of a run that was lost while it answered."""
    events = (decode(event) for _, event in said)
    return "".join(event.text for event in events if isinstance(event, Text))


def _rest(answer: str, said: str) -> list[Event]:
    """What has to be said yet, that readers who heard `said` have the answer."""
    if answer == said:
        return []
    return [Text(answer[len(said) :])] if answer.startswith(said) else [Replaced(answer, "lost")]


def _uptime(server: bytes) -> int:
    """Seconds since Redis was started, out of its answer to `INFO server`."""
    fields = dict(line.split(b":", 1) for line in server.split() if b":" in line)
    return int(fields[b"uptime_in_seconds"])
