"""The keeper, on runs that it can't recover."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis
from sqlalchemy import func, select, update

from making import chat_job, new_run
from services.launcher.embedded.valkey import EmbeddedValkey
from services.worker.runs.keeper import GRACE_SECONDS, Keeper
from shared.bus.connection import open_redis
from shared.bus.event_log import append_events
from shared.bus.names import KEEPER
from shared.config import WorkerSettings
from shared.contracts.events import Text
from shared.domain.runs import RunState
from shared.queue import TaskQueue
from shared.store.apps import AppRecord
from shared.store.engine import Database
from shared.store.models import Message, Run
from shared.store.runs.claim import ClaimedRun, claim_run
from shared.store.runs.settle import Made
from shared.store.runs.start import start_run
from stack import wait_for


@pytest.fixture
def redis(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    with closing(open_redis(valkey_server.url, pool_size=2)) as redis:
        yield redis


def lose_run(database: Database, redis: Redis, app: AppRecord, query: str) -> None:
    """A run that has said something, and whose worker is gone for a minute."""
    new = new_run(app.id, query=query, job=chat_job(query=query).model_dump(mode="json"))
    start_run(database, new)
    assert claim_run(database, new.run, new.run) is not None
    with database.write() as session:
        session.execute(
            update(Run).where(Run.id == new.run).values(started_at=func.now() - func.make_interval(0, 0, 0, 0, 0, 1))
        )
    append_events(redis, new.run, 1, [], [Text("Half an")], 60)


def test_a_run_that_can_not_be_recovered_keeps_the_keeper_from_no_other(
    database: Database, redis: Redis, app: AppRecord
):
    def recover(claimed: ClaimedRun, text: str) -> Made:
        if claimed.job["query"] == "Odd?":
            raise ValueError("a newer version wrote this")
        return Made(text)

    for query in ("Odd?", "Even?"):
        lose_run(database, redis, app, query)
    keeper = Keeper(WorkerSettings(), database, redis, TaskQueue(redis), recover)

    def ended() -> dict[str, tuple[str, str]]:
        redis.delete(KEEPER)
        keeper.tick()
        with database.read() as session:
            rows = session.execute(select(Message.query, Message.state, Message.answer)).all()
        told = {query: (state, answer) for query, state, answer in rows}
        return told if all(state == RunState.FAILED for state, _ in told.values()) else {}

    told = wait_for(ended, "both runs are ended", GRACE_SECONDS + 10)
    assert told == {"Odd?": ("failed", ""), "Even?": ("failed", "Half an")}
