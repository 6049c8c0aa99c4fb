"""Looks after the runs that nobody looks after: those of workers that are gone, and those that were never taken.

Every worker has a keeper; a Redis lock lets one of them work at a time. The lock only saves work: every step is a
compare-and-set on the run's row, so two keepers at once do no harm.
"""

import threading
from collections.abc import Callable

import structlog
import uuid_utils.compat as uuids
from redis import Redis

from shared.bus.connection import send
from shared.bus.event_log import append_events, closing_commands, read_events
from shared.bus.leases import lost_runs, unsaid_runs
from shared.bus.names import KEEPER
from shared.config import WorkerSettings
from shared.contracts.events import Closed, Event, Text, decode
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.queue import TaskQueue
from shared.store.engine import Database
from shared.store.runs.claim import ClaimedRun, load_run
from shared.store.runs.lost import OpenRun, count_send, open_runs, requeue_run
from shared.store.runs.read import read_runs
from shared.store.runs.settle import NOTHING, Made, RunEnd, settle_run

log = structlog.get_logger()

TICK_SECONDS = 2.0
RUNS_A_TICK = 500
MOST_ATTEMPTS = 3
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

    def keep(self, ended: threading.Event) -> None:
        """Work until `ended`; what is away is tried again at the next tick."""
        while not ended.wait(TICK_SECONDS):
            try:
                self.tick()
            except HeliconError as error:
                log.warning("keeper.away", error=error.message)
            except Exception:
                log.exception("keeper.crashed")  # one run that it can't read must not keep it from all others for good

    def tick(self) -> None:
        """Look after everything once, unless another keeper just did.

        Raises:
            HeliconError: Postgres, Redis or the queue is away.
        """
        lock = ("SET", KEEPER, b"1", "NX", "PX", int(TICK_SECONDS * 900))
        locked, server = send(self._redis, [lock, ("INFO", "server")])
        if not locked:
            return
        self._look_after_queued()
        if _uptime(server) >= GRACE_SECONDS:
            self._take_over_lost()
            self._say_missing_ends()

    def _look_after_queued(self) -> None:
        with self._database.read() as session:
            waiting = open_runs(
                session, RunState.QUEUED, older_than=min(SEND_AGAIN_SECONDS.values()), limit=RUNS_A_TICK
            )
        for run in waiting:
            if run.age > self._settings.queue_seconds:
                words = f"The run waited longer than {self._settings.queue_seconds:g} s for a worker. Try again later."
                self._end(run, RunEnd(RunState.FAILED, NOTHING, ErrorCode.QUEUE_TIMEOUT, words))
            elif run.age > SEND_AGAIN_SECONDS.get(run.sends, float("inf")) and count_send(self._database, run):
                log.info("run.sent_again", run=str(run.id), sends=run.sends + 1)
                self._queue.send(run.queue, run.id)

    def _take_over_lost(self) -> None:
        with self._database.read() as session:
            running = open_runs(session, RunState.RUNNING, older_than=self._settings.lease_seconds, limit=RUNS_A_TICK)
        lost = lost_runs(self._redis, [run.id for run in running])
        for run in running:
            if run.id in lost:
                self._take_over(run)

    def _take_over(self, run: OpenRun) -> None:
        said = [decode(event) for _, event in read_events(self._redis, run.id)]
        if not said and run.attempt < MOST_ATTEMPTS:
            if requeue_run(self._database, run.id, run.attempt):
                log.warning("run.queued_again", run=str(run.id), attempt=run.attempt)
                self._queue.send(run.queue, run.id)
            return
        words = "The worker was lost in mid-answer; the partial answer was kept. Ask again."
        self._end(run, RunEnd(RunState.FAILED, self._made(run, said), ErrorCode.WORKER_LOST, words))

    def _made(self, run: OpenRun, said: list[Event | None]) -> Made:
        text = "".join(event.text for event in said if isinstance(event, Text))
        with self._database.read() as session:
            claimed = load_run(session, run.id)
        return self._recover(claimed, text) if claimed is not None and text else NOTHING

    def _end(self, run: OpenRun, end: RunEnd) -> None:
        settled = settle_run(self._database, run.id, run.attempt, end, uuids.uuid7(), since=run.state)
        if settled == "settled":
            log.warning("run.ended_by_keeper", run=str(run.id), code=end.error_code)
            append_events(self._redis, run.id, run.attempt + 1, [end.event, Closed()], self._settings.event_seconds)

    def _say_missing_ends(self) -> None:
        """Runs that ended in the database, but whose worker was lost before it could say so."""
        lost = lost_runs(self._redis, unsaid_runs(self._redis)[:RUNS_A_TICK])
        with self._database.read() as session:
            ended = [run for run in read_runs(session, [*lost]) if run.state.final]
        for run in ended:
            said = read_events(self._redis, run.id)
            if said and isinstance(decode(said[-1][1]), Closed):
                send(self._redis, closing_commands(run.id, self._settings.event_seconds))
            else:
                log.warning("run.end_said_by_keeper", run=str(run.id))
                append_events(self._redis, run.id, run.attempt + 1, [run.event, Closed()], self._settings.event_seconds)


def _uptime(server: bytes) -> int:
    """Seconds since Redis was started, out of its answer to `INFO server`."""
    fields = dict(line.split(b":", 1) for line in server.split() if b":" in line)
    return int(fields[b"uptime_in_seconds"])
