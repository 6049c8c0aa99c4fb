"""Two gateways and two workers: what one process does not know of the other costs nobody an answer or a token."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import httpx
import psycopg
import pytest
import uuid_utils.compat as uuids

from books import answers, attempts, balance, has_ended, ledger, saved, task_of
from mortal import Mortal, app, running_mortal
from shared.bus.connection import open_redis
from shared.queue import TaskQueue
from stack import Part, Stack, wait_for
from talk import calls, chatting, end_of, events, first_said, post, said, text_of

LONG = "demo-slow:50+demo-tokens:100"
"""An answer of five seconds."""
IDS = {"X-Event-Ids": "1"}


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with running_mortal(HELICON_PING_SECONDS="1") as mortal:
        mortal.stack.start_gateway("second")
        mortal.stack.start_worker("worker-2")
        yield mortal


@pytest.fixture
def user() -> str:
    return f"user-{uuids.uuid7()}"


def living_workers(stack: Stack) -> list[Part]:
    return [part for name, part in stack.parts.items() if name.startswith("worker") and part.process.poll() is None]


@pytest.fixture
def lonely(mortal: Mortal) -> Iterator[Part]:
    """The only worker: whatever is asked now, this one has it. A second one is there again at the end."""
    first, *others = living_workers(mortal.stack)
    for part in others:
        part.stop()
    yield first
    while len(living_workers(mortal.stack)) < 2:
        mortal.stack.start_worker(f"worker-{uuids.uuid7()}")


def whole_answer(stack: Stack, tokens: int) -> str:
    """What the demo upstream says, whatever the question, when it is asked for so many tokens."""
    body = {"model": f"demo-tokens:{tokens}", "messages": [{"role": "user", "content": "?"}]}
    answer = httpx.post(f"{stack.demo_url}/v1/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]


def test_an_attempt_that_wakes_before_the_next_one_spoke_says_nothing(mortal: Mortal, lonely: Part, user: str):
    stack = mortal.stack
    with app(stack, "demo-slow-first:5") as client, chatting(client, user, user, headers=IDS) as frames:
        wait_for(lambda: calls(stack, user), "the provider is asked")
        lonely.freeze()
        stack.start_worker(f"worker-{uuids.uuid7()}")
        wait_for(lambda: len(calls(stack, user)) == 2, "the other worker has the chat")
        lonely.thaw()
        wait_for(lambda: "run.overtaken" in lonely.output, "the first worker was told")
        told = list(frames)
        again = events(client, user, said(told)[0]["task_id"])
    assert [frame.id for frame in told if frame.data] == [1, 2, 3][: len(said(told))]
    assert text_of(said(told)) == f"Demo answer to: {user}" == saved(stack.database, said(told)[0]["message_id"]).answer
    assert [frame for frame in told if frame.data] == [frame for frame in again if frame.data]
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


def test_an_attempt_that_wakes_after_its_run_was_ended_says_nothing_more(mortal: Mortal, lonely: Part, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user, headers=IDS) as frames:
        first = first_said(frames)
        lonely.freeze()
        stack.start_worker(f"worker-{uuids.uuid7()}")
        wait_for(lambda: has_ended(stack.database, first["message_id"]), "the other worker's keeper ended the chat")
        lonely.thaw()
        told = [first, *said(frames)]
        wait_for(lambda: "run.overtaken" in lonely.output, "the first worker was told")
        again = said(events(client, user, first["task_id"]))
    assert end_of(told)["code"] == "internal_server_error"
    assert told == again
    kept = saved(stack.database, first["message_id"])
    assert (kept.error_code, kept.answer) == ("worker_lost", text_of(told))
    assert 0 < kept.tokens < 100
    assert balance(stack.database, user).left == balance(stack.database, user).ledger == 10_000 - kept.tokens
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


@pytest.fixture
def queue(mortal: Mortal) -> Iterator[TaskQueue]:
    with closing(open_redis(mortal.valkey.url, pool_size=1)) as redis:
        yield TaskQueue(redis)


def test_a_task_that_two_workers_get_at_the_same_time_is_run_once(mortal: Mortal, queue: TaskQueue, user: str):
    stack = mortal.stack
    workers = living_workers(stack)
    assert len(workers) == 2
    for worker in workers:
        worker.freeze()  # each has asked for a task already, and finds one when it wakes
    with app(stack, "demo-slow:20+demo-tokens:20") as client, chatting(client, user, user, headers=IDS) as frames:
        task = wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        deliveries = [queue.send("chat", uuid.UUID(task)) for _ in range(3)]
        for worker in workers:
            worker.thaw()
        told = list(frames)

    def both_have_it() -> bool:
        if all(task in worker.output for worker in workers):
            return True
        deliveries.append(queue.send("chat", uuid.UUID(task)))
        return False

    wait_for(both_have_it, "each of the two workers was given the task")

    def refusals() -> int:
        lines = [line for worker in workers for line in worker.output.splitlines()]
        return sum(task in line and "run.not_claimed" in line for line in lines)

    wait_for(lambda: refusals() == len(deliveries), "all other deliveries were refused")
    assert [frame.id for frame in told if frame.data] == list(range(1, len(said(told)) + 1))
    assert text_of(said(told)) == whole_answer(stack, 20)
    assert (len(calls(stack, user)), attempts(stack.database, task)) == (1, 1)
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


@pytest.mark.parametrize("killed", ["before its claim", "while its claim is on the way"])
def test_a_chat_whose_worker_is_killed_when_it_has_taken_it_is_run_by_another(
    mortal: Mortal, lonely: Part, user: str, killed: str
):
    stack = mortal.stack
    lonely.freeze()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        task = wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        with held(mortal, f"SELECT 1 FROM runs WHERE id = '{task}' FOR UPDATE") as claims:
            lonely.thaw()
            claim = wait_for(claims, "the worker has taken the chat and tries to claim it")
            lonely.kill()
            if killed == "before its claim":
                stop_session(mortal, claim)
        stack.start_worker(f"worker-{uuids.uuid7()}")
        told = said(frames)
    assert text_of(told) == f"Demo answer to: {user}"
    assert end_of(told)["event"] == "message_end"
    assert len(calls(stack, user)) == 1
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


@contextmanager
def held(mortal: Mortal, lock: str) -> Iterator[Callable[[], int | None]]:
    """Nobody can have what `lock` locks meanwhile; gives who tries (a Postgres session)."""
    blocked = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    url = mortal.postgres.url
    with closing(psycopg.connect(url, autocommit=True)) as watching, closing(psycopg.connect(url)) as holding:
        holding.execute(lock)

        def waiting() -> int | None:
            row = watching.execute(blocked).fetchone()
            return row[0] if row else None

        yield waiting


def stop_session(mortal: Mortal, session: int) -> None:
    with psycopg.connect(mortal.postgres.url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (session,))


def test_an_answer_that_was_saved_before_its_worker_was_killed_is_told_whole(mortal: Mortal, lonely: Part, user: str):
    stack = mortal.stack
    with app(stack, "demo-slow:20+demo-tokens:50") as client, chatting(client, user, user, headers=IDS) as frames:
        first = first_said(frames)
        os.kill(mortal.valkey.pid, signal.SIGSTOP)
        wait_for(lambda: has_ended(stack.database, first["message_id"]), "the worker has saved the answer")
        lonely.kill()
        os.kill(mortal.valkey.pid, signal.SIGCONT)
        rescuer = stack.start_worker(f"worker-{uuids.uuid7()}")
        told = [first, *said(frames)]
        wait_for(lambda: "run.end_said_by_keeper" in rescuer.output, "the keeper has said the rest to those who come")
        again = said(events(client, user, first["task_id"]))
    assert end_of(told)["event"] == "message_end"
    assert (
        text_of(told) == text_of(again) == saved(stack.database, first["message_id"]).answer == whole_answer(stack, 50)
    )
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


def test_a_chat_that_had_just_begun_when_postgres_was_killed_is_answered(mortal: Mortal, lonely: Part, user: str):
    stack = mortal.stack
    lonely.freeze()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        with held(mortal, "LOCK TABLE messages IN ACCESS EXCLUSIVE MODE") as readers:
            lonely.thaw()
            wait_for(readers, "the worker has claimed the chat and reads its turns")
            mortal.postgres.kill()
        mortal.postgres.start()
        told = said(frames)
        wait_for(lambda: answers(stack.database) and post(client, user).status_code == 200, "Postgres is back")
    assert text_of(told) == f"Demo answer to: {user}"
    assert end_of(told)["event"] == "message_end"


def test_a_chat_that_had_just_begun_when_valkey_was_killed_is_answered(mortal: Mortal, lonely: Part, user: str):
    stack = mortal.stack
    lonely.freeze()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        task = wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        with held(mortal, f"SELECT 1 FROM runs WHERE id = '{task}' FOR UPDATE") as claims:
            lonely.thaw()
            wait_for(claims, "the worker has taken the chat and tries to claim it")
            mortal.valkey.kill()
        wait_for(lambda: attempts(stack.database, task) == 1, "the chat is claimed")
        mortal.valkey.start()
        told = said(frames)
    assert text_of(told) == f"Demo answer to: {user}"
    assert end_of(told)["event"] == "message_end"


def test_a_chat_whose_worker_and_events_are_lost_together_is_not_answered_twice(
    mortal: Mortal, lonely: Part, user: str
):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user, headers=IDS) as frames:
        first = first_said(frames)
        lonely.kill()
        with closing(open_redis(mortal.valkey.url, pool_size=1)) as redis:
            redis.flushall()
        stack.start_worker(f"worker-{uuids.uuid7()}")
        told = [first, *said(frames)]
    assert end_of(told)["code"] == "internal_server_error"
    assert len(calls(stack, user)) == 1
    left = balance(stack.database, user)
    assert (left.left, left.ledger) == (10_000, 10_000)
