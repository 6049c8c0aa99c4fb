"""Runs in Postgres: begun, claimed and settled, each once, and the ledger always exact."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat as uuids
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from making import chat_job, new_run
from shared.contracts.events import Usage
from shared.domain.context import Turn
from shared.domain.runs import RunState, Surface
from shared.store.apps import AppRecord
from shared.store.engine import Database, open_database
from shared.store.models import Conversation, LedgerEntry, Message, Run, User
from shared.store.runs.claim import ClaimedRun, claim_run, load_run
from shared.store.runs.lost import open_runs
from shared.store.runs.read import find_run
from shared.store.runs.settle import Made, RunEnd
from shared.store.runs.settle import settle_run as settle_run_once
from shared.store.runs.start import start_run


def claim(database: Database, run: UUID) -> ClaimedRun | None:
    return claim_run(database, run, uuids.uuid7())


def settle_run(database: Database, run: UUID, attempt: int, end: RunEnd, since: RunState = RunState.RUNNING) -> bool:
    return settle_run_once(database, run, attempt, end, uuids.uuid7(), since=since) == "settled"


def balance(database: Database, user: str = "ann") -> tuple[int, int]:
    """What the column says is left, and what the ledger's sum says."""
    with database.read() as session:
        column = select(User.avail_token).where(User.user_id == user)
        total = (
            select(func.sum(LedgerEntry.amount)).join(User, User.id == LedgerEntry.owner).where(User.user_id == user)
        )
        return session.scalars(column).one(), session.scalars(total).one()


def entries(database: Database) -> list[tuple[str, int, int]]:
    with database.read() as session:
        rows = session.execute(
            select(LedgerEntry.kind, LedgerEntry.amount, LedgerEntry.tokens).order_by(LedgerEntry.id)
        )
        return [tuple(row) for row in rows]


def end(prompt: int, completion: int, state: RunState = RunState.SUCCEEDED) -> RunEnd:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return RunEnd(state, Made("An answer.", usage, 9, "demo", "demo", Decimal("0.5")))


def test_a_run_makes_its_user_conversation_message_and_reserve(database: Database, app: AppRecord):
    new = new_run(app.id)
    started = start_run(database, new)
    assert (started.outcome, started.run, started.message) == ("started", new.run, new.message)
    assert started.conversation == new.new_conversation
    assert entries(database) == [("grant", 1000, 0), ("reserve", -120, 0)]
    assert balance(database) == (880, 880)
    with database.read() as session:
        assert session.scalars(select(Message.query)).one() == "Hello?"
        assert session.scalars(select(Run.state)).one() == RunState.QUEUED


def test_settling_gives_back_what_was_reserved_beyond_the_usage(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    claimed = claim(database, new.run)
    assert claimed is not None
    assert (claimed.attempt, claimed.job, claimed.reserved) == (1, new.job, 120)
    assert settle_run(database, new.run, 1, end(7, 3))
    assert entries(database)[-1] == ("settle", 110, 10)
    assert balance(database) == (990, 990)
    with database.read() as session:
        record = find_run(session, app.id, "ann", new.run)
    assert record is not None
    assert (record.state, record.answer, record.usage.prompt_tokens) == (RunState.SUCCEEDED, "An answer.", 7)


def test_a_run_that_made_nothing_gets_its_whole_reserve_back(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    claim(database, new.run)
    assert settle_run(database, new.run, 1, RunEnd(RunState.FAILED, error_code="provider_failed", error="It failed."))
    assert entries(database)[-1] == ("refund", 120, 0)
    assert balance(database) == (1000, 1000)


def test_usage_beyond_what_is_left_takes_the_user_to_zero_and_the_rest_is_an_overrun(
    database: Database, app: AppRecord
):
    new = new_run(app.id)
    start_run(database, new)
    claim(database, new.run)
    assert settle_run(database, new.run, 1, end(1500, 100))
    assert entries(database)[-2:] == [("settle", -880, 1600), ("overrun", 0, 600)]
    assert balance(database) == (0, 0)


def test_with_quota_off_balances_stand_still_and_usage_is_recorded(database: Database, app: AppRecord):
    new = new_run(app.id, first_grant=0, quota=False)
    assert start_run(database, new).outcome == "started"
    claimed = claim(database, new.run)
    assert claimed is not None
    assert claimed.reserved is None
    settle_run(database, new.run, 1, end(7, 3))
    assert entries(database) == [("settle", 0, 10)]
    assert balance(database) == (0, 0)


def test_a_user_without_tokens_is_refused_and_nothing_but_the_user_is_made(database: Database, app: AppRecord):
    first = new_run(app.id, bound=5000)
    start_run(database, first)
    refused = start_run(database, new_run(app.id))
    assert (refused.outcome, refused.granted, refused.available) == ("quota_exceeded", 1000, 0)
    with database.read() as session:
        assert session.scalars(select(func.count()).select_from(Run)).one() == 1


def test_a_hundred_runs_at_once_never_overspend(database: Database, app: AppRecord):
    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(lambda _: start_run(database, new_run(app.id, bound=100)).outcome, range(100)))
    assert sorted(outcomes) == ["quota_exceeded"] * 90 + ["started"] * 10
    assert balance(database) == (0, 0)


def test_a_run_is_claimed_once(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: claim(database, new.run), range(8)))
    assert sum(claim is not None for claim in claims) == 1


def test_a_claim_whose_answer_was_lost_is_taken_again(database: Database, app: AppRecord):
    new, mine = new_run(app.id), uuids.uuid7()
    start_run(database, new)
    first = claim_run(database, new.run, mine)
    assert first is not None
    assert claim_run(database, new.run, mine) == first
    assert claim_run(database, new.run, uuids.uuid7()) is None


def test_a_settlement_whose_answer_was_lost_is_known_again(database: Database, app: AppRecord):
    new, mine = new_run(app.id), uuids.uuid7()
    start_run(database, new)
    claim(database, new.run)
    answers = [settle_run_once(database, new.run, 1, end(1, 1), which) for which in (mine, mine, uuids.uuid7())]
    assert answers == ["settled", "already", "overtaken"]
    assert balance(database) == (998, 998)


def test_a_run_is_settled_once_and_by_its_own_attempt(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    claim(database, new.run)
    assert not settle_run(database, new.run, 2, end(1, 1))
    assert not settle_run(database, new.run, 0, end(1, 1), since=RunState.QUEUED)
    assert settle_run(database, new.run, 1, end(1, 1))
    assert not settle_run(database, new.run, 1, end(9, 9))
    assert entries(database)[-1] == ("settle", 118, 2)


def test_a_queued_run_that_is_stopped_can_no_longer_be_claimed(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    assert settle_run(database, new.run, 0, RunEnd(RunState.STOPPED), since=RunState.QUEUED)
    assert claim(database, new.run) is None
    assert balance(database) == (1000, 1000)


def test_a_conversation_goes_on_with_its_earlier_turns_and_reserves_for_them(database: Database, app: AppRecord):
    first = new_run(app.id)
    conversation = start_run(database, first).conversation
    claim(database, first.run)
    settle_run(database, first.run, 1, end(7, 3))
    second = new_run(app.id, conversation=conversation)
    assert start_run(database, second).conversation == conversation
    assert entries(database)[-1] == ("reserve", -129, 0)
    claimed = claim(database, second.run)
    assert claimed is not None
    assert claimed.turns == (Turn("Hello?", "An answer.", 9),)
    with database.read() as session:
        assert load_run(session, second.run) == claimed
        assert load_run(session, uuids.uuid7()) is None


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({"history_turns": 2}, ["Second?", "Third?"]),
        ({"history_turns": 0}, []),
        ({"history_seconds": 3600}, ["Third?"]),
        ({"history_seconds": None}, ["First?", "Second?", "Third?"]),
    ],
)
def test_a_run_is_shown_as_many_turns_and_as_old_as_its_job_wants(database: Database, app: AppRecord, wanted, shown):
    conversation = None
    for query, hours in (("First?", 30), ("Second?", 2), ("Third?", 0)):
        turn = new_run(app.id, conversation=conversation, query=query)
        conversation = start_run(database, turn).conversation
        claim(database, turn.run)
        settle_run(database, turn.run, 1, end(7, 3))
        with database.write() as session:
            earlier = Message.created_at - timedelta(hours=hours)
            session.execute(update(Message).where(Message.id == turn.message).values(created_at=earlier))
    last = new_run(app.id, conversation=conversation, job=chat_job(**wanted).model_dump(mode="json"))
    start_run(database, last)
    claimed = claim(database, last.run)
    assert claimed is not None
    assert [turn.query for turn in claimed.turns] == shown


@pytest.mark.parametrize("key", [None, "a key"])
def test_a_run_whose_beginning_was_not_answered_is_begun_once(database: Database, app: AppRecord, key: str | None):
    new = new_run(app.id, idempotency_key=key, body_sha256="00" if key else None)
    first, again = start_run(database, new), start_run(database, new)
    assert (again.outcome, again.run, again.message) == ("started", new.run, new.message)
    assert (again.conversation, again.created_at) == (first.conversation, first.created_at)
    assert entries(database) == [("grant", 1000, 0), ("reserve", -120, 0)]


@pytest.mark.parametrize("stranger", ["another user", "unknown conversation"])
def test_a_conversation_that_is_not_the_users_is_not_found(database: Database, app: AppRecord, stranger: str):
    first = new_run(app.id)
    conversation = start_run(database, first).conversation
    if stranger == "another user":
        again = new_run(app.id, user="bob", conversation=conversation)
    else:
        again = new_run(app.id, conversation=uuids.uuid7())
    assert start_run(database, again).outcome == "conversation_not_found"


def test_on_the_muse_surface_a_user_stays_in_the_current_conversation(database: Database, app: AppRecord):
    conversations = [start_run(database, new_run(app.id, surface=Surface.MUSE)).conversation for _ in range(2)]
    assert conversations[0] == conversations[1]
    with database.read() as session:
        assert session.scalars(select(Conversation.surface)).one() == "muse"


def test_an_idempotency_key_joins_the_run_that_it_began(database: Database, app: AppRecord):
    first = new_run(app.id, idempotency_key="k", body_sha256="a")
    again = new_run(app.id, idempotency_key="k", body_sha256="a")
    other = new_run(app.id, idempotency_key="k", body_sha256="b")
    somebody = new_run(app.id, user="bob", idempotency_key="k", body_sha256="b")
    started = start_run(database, first)
    joined = start_run(database, again)
    assert (joined.outcome, joined.run, joined.message, joined.created_at) == (
        "joined", first.run, first.message, started.created_at,
    )  # fmt: skip
    assert start_run(database, other).outcome == "key_conflict"
    assert start_run(database, somebody).outcome == "started"


def test_the_same_idempotency_key_at_once_begins_one_run(database: Database, app: AppRecord):
    def begin(_: int) -> str:
        return start_run(database, new_run(app.id, idempotency_key="k", body_sha256="a")).outcome

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(begin, range(8)))
    assert sorted(outcomes) == ["joined"] * 7 + ["started"]
    assert entries(database)[1:] == [("reserve", -120, 0)]


def test_another_users_run_is_nobodys(database: Database, app: AppRecord):
    new = new_run(app.id)
    start_run(database, new)
    with database.read() as session:
        assert find_run(session, app.id, "bob", new.run) is None
        assert find_run(session, uuids.uuid7(), "ann", new.run) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(st.integers(1, 500), st.integers(0, 400), st.integers(0, 400), st.booleans()), min_size=1, max_size=8
    )
)
def test_the_ledgers_sum_is_the_column_whatever_is_used(database: Database, app: AppRecord, calls):
    user = f"user-{uuids.uuid7()}"
    left = 1000
    for bound, prompt, completion, stopped in calls:
        new = new_run(app.id, user=user, bound=bound, turns=0)
        if start_run(database, new).outcome == "quota_exceeded":
            assert left == 0
            break
        state = RunState.STOPPED if stopped else RunState.SUCCEEDED
        claim(database, new.run)
        settle_run(database, new.run, 1, end(prompt, completion, state))
        left = max(0, left - prompt - completion)
        assert balance(database, user) == (left, left)


def test_a_call_takes_another_connection_where_those_of_the_pool_are_broken(
    database: Database, database_url: str, app: AppRecord
):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: start_run(database, new_run(app.id, quota=False)), range(8)))
        with psycopg.connect(database_url) as administrator:
            terminate = (
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            )
            ended = administrator.execute(f"{terminate} AND pid <> pg_backend_pid()").fetchall()
        started = list(threads.map(lambda _: start_run(database, new_run(app.id, quota=False)), range(8)))
    assert len(ended) > 1
    assert [run.outcome for run in started] == ["started"] * 8


def test_claiming_and_settling_never_walk_through_the_open_runs(database: Database, database_url: str, app: AppRecord):
    def walks() -> int:
        with psycopg.connect(database_url) as connection:
            query = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'runs_open'"
            ((scans,),) = connection.execute(query).fetchall()
            return scans

    def go_through(runs: int) -> None:
        with closing(open_database(database_url)) as one_way:  # what it did is counted when its connections are closed
            for _ in range(runs):
                new = new_run(app.id, quota=False)
                start_run(one_way, new)
                claim(one_way, new.run)
                settle_run(one_way, new.run, 1, end(7, 3))

    go_through(300)
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("ANALYZE runs")  # now the planner knows that few runs are open
    go_through(20)
    assert walks() == 0
    with closing(open_database(database_url)) as keeper, keeper.read() as session:
        session.execute(text("SET enable_seqscan = off"))
        open_runs(session, RunState.QUEUED, older_than=5, limit=10)
    assert walks() == 1


def test_a_query_takes_another_connection_where_those_of_the_pool_are_broken(database: Database, database_url: str):
    def count(_: int) -> int | None:
        with database.read() as session:
            return session.scalar(select(func.count()).select_from(Run))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
        with psycopg.connect(database_url) as administrator:
            terminate = (
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            )
            ended = administrator.execute(f"{terminate} AND pid <> pg_backend_pid()").fetchall()
        counts = list(threads.map(count, range(8)))
    assert len(ended) > 1
    assert counts == [0] * 8


def test_a_turn_that_began_later_is_not_shown(database: Database, app: AppRecord):
    first = new_run(app.id, query="First?")
    conversation = start_run(database, first).conversation
    second = new_run(app.id, conversation=conversation, query="Second?")
    start_run(database, second)
    claim(database, second.run)
    settle_run(database, second.run, 1, end(7, 3))
    claimed = claim(database, first.run)
    assert claimed is not None
    assert claimed.turns == ()
