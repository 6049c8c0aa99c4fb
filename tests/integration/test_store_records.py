"""Records and users in Postgres: the counts are exact whatever happens, and pages are read along indexes alone."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat as uuids
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, delete, func, make_url, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from making import new_run
from services.launcher.embedded.postgres import EmbeddedPostgres
from shared.domain.runs import RecordType, RunState, Surface
from shared.store.apps import AppRecord
from shared.store.conversations import CommandTurn, record_command
from shared.store.engine import Database
from shared.store.models import Conversation, Message, RecordCount, Run, User, UserCount
from shared.store.pages import Page
from shared.store.records import RecordFilter, delete_records, read_records
from shared.store.runs.settle import RunEnd, settle_run
from shared.store.runs.start import start_run
from shared.store.schema import upgrade
from shared.store.users import UserFilter, choose_mode, read_users, see_user

Counts = Counter[tuple[int, str, bool]]
FILL_USERS, FILL_RECORDS = 5000, 50_000


def counted(database: Database) -> Counts:
    """The counts as they are kept: a user's, and (owner 0) an app's. The default app is the only one."""
    kind = (RecordCount.owner, RecordCount.record_type, RecordCount.is_deleted)
    with database.read() as session:
        rows = session.execute(select(*kind, func.sum(RecordCount.records)).group_by(*kind))
        return Counter({(owner, name, gone): int(records) for owner, name, gone, records in rows if records})


def there(database: Database) -> Counts:
    """The counts as the rows have them."""
    kind = (Message.owner, Message.record_type, Message.is_deleted)
    with database.read() as session:
        rows = session.execute(select(*kind, func.count()).group_by(*kind)).all()
    counts = Counts()
    for owner, name, gone, records in rows:
        counts[owner, name, gone] += records
        counts[0, name, gone] += records
    return counts


def check_counts(database: Database) -> Counts:
    counts = counted(database)
    assert counts == there(database)
    with database.read() as session:
        users = session.scalar(select(func.coalesce(func.sum(UserCount.users), 0)))
        assert users == session.scalar(select(func.count()).select_from(User))
    return counts


def user_of(database: Database, name: str) -> int:
    with database.read() as session:
        return session.scalars(select(User.id).where(User.user_id == name)).one()


def chat(database: Database, app: AppRecord, user: str = "ann", **changes: Any) -> tuple[Any, Any]:
    """Message and conversation of a chat that was begun."""
    started = start_run(database, new_run(app.id, user, quota=False, **changes))
    assert started.outcome == "started"
    return started.message, started.conversation


def run_command(database: Database, app: AppRecord, user: str = "ann") -> None:
    with database.write() as session:
        owner = see_user(session, app.id, user, 1000)
        record_command(session, CommandTurn(app.id, owner, "/help", "/help", "Help.", new_conversation=False))


def ask_again(database: Database, app: AppRecord, user: str, message: UUID, conversation: UUID) -> str:
    """End the run that answers a message and ask the same in its place; what became of it."""
    with database.read() as session:
        run = session.scalars(select(Run.id).where(Run.message_id == message)).one()
    settle_run(database, run, 0, RunEnd(RunState.STOPPED), uuids.uuid7(), since=RunState.QUEUED)
    new = new_run(app.id, user, quota=False, conversation=conversation, replaces=message)
    return start_run(database, new).outcome


def drop(database: Database, user: str, **which: Any) -> int:
    owner = user_of(database, user)
    with database.write() as session:
        return delete_records(session, owner, **which)


def records(database: Database, app: AppRecord, **wanted: Any) -> tuple[list[dict[str, Any]], int]:
    fields = {"user_id": None, "types": tuple(RecordType), "deleted": None, "skip": 0, "take": 10, **wanted}
    return parsed(read_records(database, RecordFilter(app.id, **fields)))


def parsed(page: Page) -> tuple[list[dict[str, Any]], int]:
    return json.loads(page.items), page.total


def test_chats_and_commands_are_counted_for_their_user_and_their_app(database: Database, app: AppRecord):
    for user in ("ann", "bob"):
        chat(database, app, user)
        run_command(database, app, user)
    chat(database, app)
    ann, bob = user_of(database, "ann"), user_of(database, "bob")
    assert check_counts(database) == {
        (ann, "text", False): 2,
        (ann, "command", False): 1,
        (bob, "text", False): 1,
        (bob, "command", False): 1,
        (0, "text", False): 3,
        (0, "command", False): 2,
    }


def test_records_of_a_surface_a_conversation_a_message_and_all_are_deleted_once(database: Database, app: AppRecord):
    first, conversation = chat(database, app, surface=Surface.MUSE)
    chat(database, app, surface=Surface.MUSE)
    run_command(database, app)
    message, _ = chat(database, app)
    _, other = chat(database, app)
    chat(database, app, conversation=other)
    chat(database, app, "bob", surface=Surface.MUSE)
    assert drop(database, "bob", message=first) == 0, "it is another's"
    assert drop(database, "ann", message=message) == 1
    assert check_counts(database)[0, "text", True] == 1
    assert drop(database, "ann", conversation=other) == 2
    assert drop(database, "ann", conversation=other, surface=Surface.MUSE) == 0
    check_counts(database)
    assert drop(database, "ann", surface=Surface.MUSE) == 3
    assert drop(database, "ann", surface=Surface.MUSE, conversation=conversation) == 0
    assert drop(database, "ann") == 0
    assert drop(database, "bob") == 1
    assert check_counts(database) == {
        (user_of(database, "ann"), "text", True): 5,
        (user_of(database, "ann"), "command", True): 1,
        (user_of(database, "bob"), "text", True): 1,
        (0, "text", True): 6,
        (0, "command", True): 1,
    }


def test_a_message_that_replaces_another_deletes_it_and_is_counted(database: Database, app: AppRecord):
    message, conversation = chat(database, app)
    assert ask_again(database, app, "ann", message, conversation) == "started"
    counts = check_counts(database)
    assert (counts[0, "text", False], counts[0, "text", True]) == (1, 1)


def test_what_is_rolled_back_is_not_counted(database: Database, app: AppRecord):
    chat(database, app)
    before = check_counts(database)
    owner = user_of(database, "ann")
    with database.write() as session:
        assert delete_records(session, owner) == 1
        session.rollback()
    assert check_counts(database) == before


def test_rows_that_are_removed_are_counted_no_more(database: Database, app: AppRecord):
    chat(database, app, "ann")
    chat(database, app, "bob")
    drop(database, "ann")
    with database.write() as session:
        for kind in (Run, Message, Conversation):
            session.execute(delete(kind).where(kind.owner == user_of(database, "ann")))
        session.execute(text("DELETE FROM ledger WHERE owner = :owner"), {"owner": user_of(database, "ann")})
        session.execute(delete(User).where(User.user_id == "ann"))
    bob = user_of(database, "bob")
    assert check_counts(database) == {(bob, "text", False): 1, (0, "text", False): 1}


def test_counts_are_exact_and_nobody_waits_in_a_circle_when_many_users_chat_and_delete_at_once(
    database: Database, app: AppRecord
):
    # Users of the same shard, so that they count in the same rows.
    names = [f"user-{number}" for number in range(65)]
    for name in names:
        chat(database, app, name, surface=Surface.MUSE)
    shards = Counter(user_of(database, name) % 32 for name in names)
    crowded = [name for name in names if user_of(database, name) % 32 == shards.most_common(1)[0][0]]
    assert len(crowded) >= 3

    def turn(number: int) -> None:
        user = crowded[number % len(crowded)]
        match number // len(crowded) % 4:
            case 0:
                chat(database, app, user, surface=Surface.MUSE)
            case 1:
                run_command(database, app, user)
            case 2:
                message, conversation = chat(database, app, user)
                outcome = ask_again(database, app, user, message, conversation)
                assert outcome in {"started", "not_replaced"}, "another may have deleted it meanwhile"
            case _:
                drop(database, user, surface=Surface.MUSE if number % 2 else None)

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(turn, range(400)))
    check_counts(database)
    with database.read() as session:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        session.execute(text("SELECT pg_stat_force_next_flush()"))
        assert session.scalar(text(deadlocks)) == 0


def upgrade_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "shared.store:migrations")
    config.set_main_option("path_separator", "os")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


@pytest.fixture
def older_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database as the version before records left it."""
    name = f"older{uuids.uuid7().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = postgres_server.url.rsplit("/", 1)[0] + "/" + name
        upgrade_to(url, "0002")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_was_there_before_is_counted_by_the_migration(older_url: str):
    with psycopg.connect(older_url, autocommit=True) as connection:
        connection.execute("INSERT INTO apps (id, name, mode) VALUES (gen_random_uuid(), 'shop', 'chat')")
        fill(connection, users=40, records=300, app="default", with_deleted=False)
        fill(connection, users=3, records=7, app="shop", with_deleted=False)
    upgrade(older_url)
    with psycopg.connect(older_url) as connection:
        query = """
            SELECT a.name, c.owner = 0, sum(records) FROM record_counts c JOIN apps a ON a.id = c.app_id
            GROUP BY 1, 2 ORDER BY 1, 2"""
        counts = [("default", False, 300), ("default", True, 300), ("shop", False, 7), ("shop", True, 7)]
        assert connection.execute(query).fetchall() == counts
        users = "SELECT a.name, sum(users) FROM user_counts JOIN apps a ON a.id = app_id GROUP BY 1 ORDER BY 1"
        assert connection.execute(users).fetchall() == [("default", 40), ("shop", 3)]
        numbers = connection.execute("SELECT count(DISTINCT number), count(*) FROM messages").fetchone()
        assert numbers == (307, 307)


def fill(
    connection: psycopg.Connection[Any], *, users: int, records: int, app: str = "default", with_deleted: bool = True
) -> None:
    """Users with records of all kinds, spread evenly."""
    connection.execute(
        "INSERT INTO users (app_id, user_id) "
        "SELECT a.id, 'user-' || n FROM apps a, generate_series(1, %s) n WHERE a.name = %s ORDER BY n",
        (users, app),
    )
    connection.execute(
        "INSERT INTO conversations (id, app_id, owner, surface, name) "
        "SELECT gen_random_uuid(), u.app_id, u.id, 'muse', '' FROM users u JOIN apps a ON a.id = u.app_id "
        "WHERE a.name = %s",
        (app,),
    )
    deleted = (", is_deleted", ", n % 7 = 0") if with_deleted else ("", "")
    connection.execute(
        f"INSERT INTO messages (id, conversation_id, app_id, owner, record_type, query, state{deleted[0]}) "
        "SELECT gen_random_uuid(), c.id, c.app_id, c.owner, CASE WHEN n %% 10 = 0 THEN 'command' ELSE 'text' END, "
        f"'Question ' || n, 'succeeded'{deleted[1].replace('%', '%%')} "
        "FROM generate_series(1, %s) n JOIN users u ON u.user_id = 'user-' || (1 + n %% %s) "
        "JOIN apps a ON a.id = u.app_id AND a.name = %s JOIN conversations c ON c.owner = u.id ORDER BY n",
        (records, users, app),
    )


@pytest.fixture
def filled(database_url: str, database: Database) -> Database:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, users=FILL_USERS, records=FILL_RECORDS)
        connection.execute("VACUUM ANALYZE")
    return database


def all_records(database: Database) -> list[tuple[int, str, str, bool]]:
    """Number, user, type and deletion of every record, the newest first, straight from the rows."""
    query = (
        select(Message.number, User.user_id, Message.record_type, Message.is_deleted)
        .join(User, User.id == Message.owner)
        .order_by(Message.number.desc())
    )
    with database.read() as session:
        return [(number, user, kind, gone) for number, user, kind, gone in session.execute(query)]


TYPES = (tuple(RecordType), (RecordType.TEXT,), (RecordType.COMMAND,), (RecordType.IMAGE,), (RecordType.COMMAND,) * 2)


def test_every_filter_gives_the_page_that_the_rows_have_and_the_exact_total(filled: Database, app: AppRecord):
    check_counts(filled)
    everything = all_records(filled)
    for user, types, deleted in product((None, "user-77", "nobody"), TYPES, (None, False, True)):
        wanted = [
            number
            for number, whose, kind, gone in everything
            if (user is None or whose == user) and kind in types and (deleted is None or gone == deleted)
        ]
        for skip, take in ((0, 10), (990, 10), (9900, 100), (len(wanted) // 2, 10), (10**11, 100)):
            page, total = records(filled, app, user_id=user, types=types, deleted=deleted, skip=skip, take=take)
            assert total == len(wanted)
            assert [item["id"] for item in page] == wanted[skip : skip + take]
            assert all(item["user_id"] == (user or item["user_id"]) for item in page)


def test_a_record_says_what_it_is_in_numbers(database: Database, app: AppRecord):
    message, _ = chat(database, app, query='Say "ü"\n\x01 \U0001f600')
    with database.write() as session:
        row = session.get_one(Message, message)
        expected = {
            "id": row.number,
            "user_id": "ann",
            "question": 'Say "ü"\n\x01 \U0001f600',
            "answer": "",
            "content": "",
            "token": 0,
            "is_deleted": 0,
            "create_time": int(row.created_at.timestamp()),
            "record_type": 0,
        }
    assert records(database, app) == ([expected], 1)


@pytest.mark.parametrize("kind", list(RecordType))
def test_every_type_of_record_is_listed_by_its_number(database: Database, app: AppRecord, kind: RecordType):
    for one in RecordType:
        message, _ = chat(database, app, record_type=one)
        if one is kind:
            drop(database, "ann", message=message)
    page, total = records(database, app, types=(kind,))
    assert (total, [(item["record_type"], item["is_deleted"]) for item in page]) == (1, [(kind.number, 1)])
    assert [item["record_type"] for item in records(database, app)[0]] == [5, 4, 3, 2, 1, 0]


def test_records_of_another_app_are_nobodys(database: Database, app: AppRecord):
    chat(database, app)
    with database.write() as session:
        other = session.scalar(
            text("INSERT INTO apps (id, name, mode) VALUES (:id, 'b', 'chat') RETURNING id"), {"id": uuids.uuid7()}
        )
    for user in (None, "ann"):
        assert parsed(read_records(database, RecordFilter(other, user, tuple(RecordType), None, 0, 10))) == ([], 0)


def users_page(database: Database, app: AppRecord, **wanted: Any) -> tuple[list[dict[str, Any]], int]:
    fields = {"user_id": None, "skip": 0, "take": 10, "mode": "standard", "modes": None, **wanted}
    return parsed(read_users(database, UserFilter(app.id, **fields)))


def test_users_are_listed_the_newest_first(filled: Database, app: AppRecord):
    for skip, take in ((0, 10), (990, 10), (990, 100), (0, 100), (FILL_USERS, 10), (10**11, 10)):
        page, total = users_page(filled, app, skip=skip, take=take)
        names = [f"user-{FILL_USERS - place}" for place in range(skip, min(skip + take, FILL_USERS))]
        assert ([user["user_id"] for user in page], total) == (names, FILL_USERS)
    assert [[user["user_id"] for user in page] for page in (users_page(filled, app, user_id="user-7")[0],)] == [
        ["user-7"]
    ]
    assert users_page(filled, app, user_id="user-7", skip=10) == ([], 1)
    assert users_page(filled, app, user_id="nobody") == ([], 0)


def test_a_mode_that_is_not_offered_is_shown_as_the_one_that_holds(database: Database, app: AppRecord):
    with database.write() as session:
        choose_mode(session, app.id, "ann", "fast", first_grant=0)
        choose_mode(session, app.id, "bob", "", first_grant=0)

    def shown(modes: Sequence[str] | None) -> dict[str, str]:
        return {user["user_id"]: user["mode"] for user in users_page(database, app, modes=modes)[0]}

    assert shown(None) == {"ann": "fast", "bob": "standard"}
    assert shown(["fast", "standard"]) == {"ann": "fast", "bob": "standard"}
    assert shown(["standard"]) == {"ann": "standard", "bob": "standard"}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.fixture
def explained(database_url: str, filled: Database) -> Iterator[tuple[psycopg.Connection[Any], list[dict[str, Any]]]]:
    """A connection on which the plans of all statements, those within functions too, are told as they are run."""
    plans: list[dict[str, Any]] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("LOAD 'auto_explain'")
        for name, value in {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_format": "json",
            "auto_explain.log_analyze": "on",
            "client_min_messages": "log",
        }.items():
            connection.execute(f"SET {name} = {value}")
        connection.add_notice_handler(
            lambda notice: plans.append(json.loads((notice.message_primary or "").partition("plan:\n")[2])["Plan"])
        )
        yield connection, plans


LISTS = [
    ("list_records", {"types": list(types), "deleted": deleted, "user_id": user, "skip": skip, "take": 10})
    for types, deleted, user, skip in product(TYPES[:3], (None, False, True), (None, "user-77"), (0, 990))
] + [
    ("list_users", {"user_id": user, "skip": skip, "take": 10, "mode": "", "modes": None})
    for user, skip in product((None, "user-77"), (0, 990))
]


def test_lists_are_read_along_indexes_and_no_further_than_the_page(
    app: AppRecord, explained: tuple[psycopg.Connection[Any], list[dict[str, Any]]]
):
    connection, plans = explained
    for function, wanted in LISTS:
        plans.clear()
        document = json.dumps({"app": str(app.id), **wanted})
        connection.execute(f"SELECT * FROM {function}(%s::jsonb)", (document,)).fetchone()
        ran = [node for plan in plans for node in nodes(plan)]
        assert any(node["Node Type"].startswith("Index") for node in ran), "the statements within are seen"
        scanned = {node["Relation Name"] for node in ran if node["Node Type"] == "Seq Scan"}
        assert scanned <= {"user_counts"}, "which has 32 rows for an app: a page"
        read = max(node["Actual Rows"] for node in ran)
        assert read <= wanted["skip"] + wanted["take"] + 2 * 32 * 2 * len(RecordType), (
            "what is before the page, and counts"
        )


def test_a_user_with_many_records_has_one_deleted_without_a_look_at_the_others(
    app: AppRecord, filled: Database, explained: tuple[psycopg.Connection[Any], list[dict[str, Any]]]
):
    connection, plans = explained
    with Session(create_engine("postgresql+psycopg://", creator=lambda: connection)) as session:
        message, owner = session.execute(select(Message.id, Message.owner).where(~Message.is_deleted).limit(1)).one()
        for _ in range(8):
            plans.clear()
            delete_records(session, owner, message=message)
    scans = [node for plan in plans for node in nodes(plan) if node.get("Relation Name") == "messages"]
    assert {node.get("Index Name") for node in scans if "Scan" in node["Node Type"]} == {"messages_pk"}
