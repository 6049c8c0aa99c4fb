"""A user's session on the Muse surface, as Postgres keeps it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import func, select, text, update

from making import new_run
from shared.contracts.events import Usage
from shared.domain.runs import RunState, Surface
from shared.store.apps import AppRecord
from shared.store.conversations import CommandTurn, record_command
from shared.store.engine import Database
from shared.store.models import Conversation, LedgerEntry, McpServer, Message, RecordCount, Run, User
from shared.store.muse_sessions import (
    SHARDS,
    CurrentConversation,
    UsedTokens,
    clear_records,
    enabled_servers,
    find_last_question,
    read_current_conversation,
    read_used,
)
from shared.store.records import delete_records
from shared.store.runs.claim import claim_run
from shared.store.runs.settle import Made, RunEnd, settle_run
from shared.store.runs.start import NewRun, StartedRun, start_run
from shared.store.users import see_user
from stack import wait_for


def owner_of(database: Database, user: str = "ann") -> int:
    with database.read() as session:
        return session.scalars(select(User.id).where(User.user_id == user)).one()


def begin(database: Database, app: AppRecord, user: str = "ann", **changes) -> tuple[NewRun, StartedRun]:
    new = new_run(app.id, user, **{"surface": Surface.MUSE, **changes})
    return new, start_run(database, new)


def chat(database: Database, app: AppRecord, user: str = "ann", tokens: int = 10, **changes) -> UUID:
    """A chat that is answered; its message."""
    new, started = begin(database, app, user, **changes)
    assert started.outcome == "started"
    claim_run(database, new.run, uuids.uuid7())
    made = Made("An answer.", Usage(prompt_tokens=tokens), 9, "demo", "demo")
    settle_run(database, new.run, 1, RunEnd(RunState.SUCCEEDED, made), uuids.uuid7())
    return new.message


def command(database: Database, app: AppRecord, user: str = "ann", *, new_conversation: bool = False) -> None:
    with database.write() as session:
        owner = see_user(session, app.id, user, 1000)
        record_command(session, CommandTurn(app.id, owner, "/help", "/help", "Help.", new_conversation))


def clear(database: Database, app: AppRecord, user: str = "ann") -> int:
    """What `/clear` does."""
    with database.write() as session:
        owner = see_user(session, app.id, user, 1000)
        cleared = clear_records(session, app.id, owner)
        record_command(session, CommandTurn(app.id, owner, "/clear", "/clear", f"{cleared}", new_conversation=True))
    return cleared


def records(database: Database, user: str = "ann") -> list[tuple[str, bool]]:
    query = select(Message.query, Message.is_deleted).join(User, User.id == Message.owner)
    with database.read() as session:
        return [tuple(row) for row in session.execute(query.where(User.user_id == user).order_by(Message.number))]


@contextmanager
def counted_right(database: Database) -> Iterator[None]:
    """Afterwards the counts of records are those of the records."""
    yield
    kinds = (Message.app_id, Message.owner, Message.record_type, Message.is_deleted)
    counts = (RecordCount.app_id, RecordCount.owner, RecordCount.record_type, RecordCount.is_deleted)
    with database.read() as session:
        real = {tuple(row) for row in session.execute(select(*kinds, func.count()).group_by(*kinds))}
        kept = select(*counts, RecordCount.records).where(RecordCount.owner > 0, RecordCount.records != 0)
        assert {tuple(row) for row in session.execute(kept)} == real
        of_all = select(func.sum(RecordCount.records)).where(RecordCount.owner == 0)
        assert session.scalar(of_all) == session.scalar(select(func.count()).select_from(Message))


def test_used_tokens_are_summed_by_days_and_an_overrun_is_not_counted_twice(database: Database, app: AppRecord):
    chat(database, app, tokens=1500)  # 500 more than there are
    with database.write() as session:
        owner = session.scalars(select(User.id)).one()
        assert "overrun" in session.scalars(select(LedgerEntry.kind)).all()
        days = {1: 5, 6: 20, 7: 300, 29: 4_000, 30: 50_000}
        for ago, tokens in days.items():
            session.add(LedgerEntry(owner=owner, kind="settle", amount=0, tokens=tokens))
            session.flush()
            moved = text(
                "UPDATE ledger SET created_at = date_trunc('day', now(), 'UTC') - make_interval(days => :ago) "
                "WHERE tokens = :tokens"
            )
            session.execute(moved, {"ago": ago, "tokens": tokens})
    chat(database, app, "bob", tokens=7)
    with database.read() as session:
        assert read_used(session, owner) == UsedTokens(1500, 1525, 5825, 55_825)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_day_is_one_of_utc_wherever_the_server_stands(database: Database, app: AppRecord, zone: str):
    chat(database, app)
    with database.write() as session:
        session.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        begin_of_day = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        session.execute(text(f"UPDATE ledger SET created_at = {begin_of_day} WHERE tokens > 0"))
        assert read_used(session, owner_of(database)).today == 10
        session.execute(text(f"UPDATE ledger SET created_at = {begin_of_day} - interval '1 second' WHERE tokens > 0"))
        assert read_used(session, owner_of(database)).today == 0


def test_the_current_conversation_counts_turns_but_no_commands_and_nothing_deleted(database: Database, app: AppRecord):
    with database.write() as session:
        owner = see_user(session, app.id, "ann", 1000)
        assert read_current_conversation(session, owner) is None
    chat(database, app, name="Tea")
    command(database, app)
    kept = chat(database, app)
    chat(database, app, surface=Surface.V1)
    with database.write() as session:
        assert read_current_conversation(session, owner) == CurrentConversation("Tea", 2)
        assert delete_records(session, owner, message=kept) == 1
        assert read_current_conversation(session, owner) == CurrentConversation("Tea", 1)
        session.execute(update(Conversation).values(deleted_at=func.now()))
        assert read_current_conversation(session, owner) is None


def test_servers_that_are_disabled_are_not_available(database: Database):
    with database.write() as session:
        assert enabled_servers(session) == []
        for name, disabled in (("b", False), ("c", True), ("a", False)):
            session.add(McpServer(name=name, server={}, disabled=disabled))
        session.flush()
        assert enabled_servers(session) == ["a", "b"]


def test_the_last_question_is_the_newest_chat_of_the_current_conversation(database: Database, app: AppRecord):
    def last(user: str = "ann") -> str | None:
        with database.read() as session:
            found = find_last_question(session, app.id, user)
        return found and found.query

    assert last() is None
    chat(database, app, query="First?")
    chat(database, app, "bob", query="Another's?")
    chat(database, app, query="On v1?", surface=Surface.V1)
    command(database, app)
    assert last() == "First?"
    begin(database, app, query="Still running?")
    assert last() == "Still running?"
    command(database, app, new_conversation=True)
    assert last() is None


def test_clearing_deletes_the_records_of_the_surface_and_leaves_its_own(database: Database, app: AppRecord):
    with counted_right(database):
        chat(database, app, query="One?")
        command(database, app)
        command(database, app, new_conversation=True)
        chat(database, app, query="Two?")
        chat(database, app, query="On v1?", surface=Surface.V1)
        chat(database, app, "bob", query="Bob's?")
        assert clear(database, app) == 4
    assert records(database) == [
        ("One?", True),
        ("/help", True),
        ("/help", True),
        ("Two?", True),
        ("On v1?", False),
        ("/clear", False),
    ]
    assert records(database, "bob") == [("Bob's?", False)]
    with database.read() as session:
        assert read_current_conversation(session, owner_of(database)) == CurrentConversation("/clear", 0)
    assert clear(database, app) == 1  # the record of the first time
    assert clear(database, app, "nobody yet") == 0


def neighbours(database: Database, app: AppRecord) -> list[str]:
    """Two users whose records are counted in the same rows."""
    with database.write() as session:
        owners = {see_user(session, app.id, f"user-{name}", 1000): f"user-{name}" for name in range(2 * SHARDS)}
    return [user for owner, user in owners.items() if owner % SHARDS == 0]


def somebody_waits(database: Database) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.read() as session:
        return session.scalar(text(query)) > 0


def test_two_users_who_clear_at_once_wait_for_each_other_in_turn(database: Database, app: AppRecord):
    without_commands, with_commands = neighbours(database, app)
    chat(database, app, without_commands)
    chat(database, app, with_commands)
    command(database, app, with_commands)
    with counted_right(database), ThreadPoolExecutor(1) as thread:
        with database.write() as session:
            owner = see_user(session, app.id, without_commands, 1000)
            assert clear_records(session, app.id, owner) == 1
            other = thread.submit(clear, database, app, with_commands)
            wait_for(lambda: somebody_waits(database), "the other waits")
            turn = CommandTurn(app.id, owner, "/clear", "/clear", "Cleared.", new_conversation=True)
            record_command(session, turn)
        assert other.result() == 2


def test_many_users_who_clear_and_chat_at_once_are_counted_right(database: Database, app: AppRecord):
    users = [f"user-{number}" for number in range(60)]
    for user in users:
        chat(database, app, user)
    with counted_right(database), ThreadPoolExecutor(10) as threads:
        chats = [threads.submit(chat, database, app, user) for user in users]
        cleared = list(threads.map(lambda user: clear(database, app, user), users))
        assert all(chat.result() for chat in chats)
    assert set(cleared) <= {1, 2}


def test_a_question_asked_again_replaces_its_turn_in_the_same_step(database: Database, app: AppRecord):
    with counted_right(database):
        first = chat(database, app, query="Hello?")
        second = chat(database, app, query="Hello?", replaces=first)
    assert records(database) == [("Hello?", True), ("Hello?", False)]
    new, _ = begin(database, app, query="And?")
    claimed = claim_run(database, new.run, uuids.uuid7())
    assert claimed is not None
    assert [turn.query for turn in claimed.turns] == ["Hello?"]
    assert second != first


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"parallel": 1}, "too_many"),
        ({"first_grant": 0}, "quota_exceeded"),
        ({"conversation": uuids.uuid7()}, "conversation_not_found"),
    ],
)
def test_one_that_is_refused_deletes_nothing(database: Database, app: AppRecord, changes: dict, outcome: str):
    first = chat(database, app, query="Hello?")
    if outcome == "too_many":
        begin(database, app, query="Open?", surface=Surface.V1)
    if outcome == "quota_exceeded":
        with database.write() as session:
            session.execute(update(User).values(avail_token=0))
    _, started = begin(database, app, replaces=first, **changes)
    assert started.outcome == outcome
    assert ("Hello?", False) in records(database)


@pytest.mark.parametrize("quota", [True, False])
def test_a_turn_that_is_still_answered_or_deleted_is_not_replaced(database: Database, app: AppRecord, *, quota: bool):
    running, _ = begin(database, app, query="Running?", quota=quota)
    assert begin(database, app, replaces=running.message, quota=quota)[1].outcome == "not_replaced"
    first = chat(database, app, query="Hello?", quota=quota)
    chat(database, app, query="Hello?", replaces=first, quota=quota)
    assert begin(database, app, replaces=first, quota=quota)[1].outcome == "not_replaced"
    assert records(database) == [("Running?", False), ("Hello?", True), ("Hello?", False)]
    with database.read() as session:
        reserved = session.scalars(select(func.count()).where(LedgerEntry.kind == "reserve")).one()
    assert reserved == (3 if quota else 0)


@pytest.mark.parametrize("quota", [True, False])
def test_of_many_that_replace_the_same_turn_at_once_one_does(database: Database, app: AppRecord, *, quota: bool):
    first = chat(database, app, query="Hello?", quota=quota)
    with counted_right(database), ThreadPoolExecutor(10) as threads:
        begun = threads.map(lambda _: begin(database, app, query="Hello?", replaces=first, quota=quota)[1], range(10))
        outcomes = sorted(started.outcome for started in begun)
    assert outcomes == ["not_replaced"] * 9 + ["started"]
    assert records(database) == [("Hello?", True), ("Hello?", False)]


def test_another_users_turn_is_not_replaced(database: Database, app: AppRecord):
    theirs = chat(database, app, "bob", query="Bob's?")
    assert begin(database, app, replaces=theirs)[1].outcome == "not_replaced"
    assert records(database, "bob") == [("Bob's?", False)]
    assert records(database) == []


def test_a_balance_that_is_asked_for_takes_no_place_of_a_chat(database: Database, app: AppRecord):
    free = {"quota": False, "record_type": "command", "kind": "balance", "queue": "default", "bound": 0}
    assert begin(database, app, **free)[1].outcome == "started"
    assert begin(database, app, parallel=1)[1].outcome == "started"
    assert begin(database, app, parallel=1)[1].outcome == "too_many"
    with database.read() as session:
        assert session.scalars(select(func.count()).where(Run.finished_at.is_(None))).one() == 2
