"""Any process may be killed at any time: the client gets exactly one end, and the books are right."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uuid_utils.compat as uuids

from books import answers, balance, has_ended, ledger, saved, task_of
from mortal import Mortal, app, running_mortal
from shared.bus.connection import open_redis
from shared.bus.leases import take_lease
from shared.contracts.events import Usage
from shared.domain.runs import RunState
from shared.store.runs.claim import claim_run
from shared.store.runs.settle import Made, RunEnd, settle_run
from stack import Part, Stack, wait_for
from talk import Frame, calls, chatting, end_of, events, first_said, post, said, stop, text_of

GRANT = 10_000
LONG = "demo-slow:50+demo-tokens:100"
"""An answer of five seconds."""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with running_mortal(HELICON_PING_SECONDS="1") as mortal:
        yield mortal


@pytest.fixture
def user() -> str:
    return f"user-{uuids.uuid7()}"


def busy_worker(stack: Stack) -> Part:
    """The worker that has the only chat: the one that is left when the idle ones are stopped does not know it yet."""
    workers = [part for name, part in stack.parts.items() if name.startswith("worker") and part.process.poll() is None]
    assert len(workers) == 1, "these tests keep one worker at a time"
    return workers[0]


@contextmanager
def killed_worker(stack: Stack) -> Iterator[None]:
    """The worker is killed; another one is there when this is left."""
    busy_worker(stack).kill()
    yield
    stack.start_worker(f"worker-{uuids.uuid7()}")


def rest(frames: Iterator[Frame]) -> list[dict]:
    return said(frames)


def whole_answer(stack: Stack, tokens: int) -> str:
    """What the demo upstream says, whatever the question, when it is asked for so many tokens."""
    body = {"model": f"demo-tokens:{tokens}", "messages": [{"role": "user", "content": "?"}]}
    answer = httpx.post(f"{stack.demo_url}/v1/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]


def test_a_chat_whose_worker_is_killed_before_the_first_token_is_answered_by_another(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, "demo-slow-first:2") as client, chatting(client, user, user) as frames:
        wait_for(lambda: calls(stack, user), "the provider is asked")
        with killed_worker(stack):
            pass
        told = rest(frames)
    assert text_of(told) == f"Demo answer to: {user}"
    assert end_of(told)["event"] == "message_end"
    assert len(calls(stack, user)) == 2
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


def test_a_chat_whose_worker_is_killed_in_mid_answer_ends_in_one_error_and_keeps_its_part(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        with killed_worker(stack):
            pass
        told = [first, *rest(frames)]
    end = end_of(told)
    assert (end["event"], end["code"], end["status"]) == ("error", "internal_server_error", 500)
    kept = saved(stack.database, end["message_id"])
    assert (kept.state, kept.error_code, kept.answer) == ("failed", "worker_lost", text_of(told))
    left = balance(stack.database, user)
    assert left.left == left.ledger == GRANT - kept.tokens
    assert 0 < kept.tokens < 100


def test_chats_that_a_killed_worker_had_not_begun_are_run_by_another(mortal: Mortal, user: str):
    stack = mortal.stack
    busy_worker(stack).stop()
    stack.start_worker(f"worker-{uuids.uuid7()}", HELICON_WORKER_CONCURRENCY="1")
    with app(stack, "demo-slow-first:2") as client, chatting(client, user, f"{user} 1") as first:
        wait_for(lambda: calls(stack, f"{user} 1"), "the first chat runs")
        with chatting(client, user, f"{user} 2") as second:
            wait_for(lambda: task_of(stack.database, f"{user} 2"), "the second chat is queued")
            with killed_worker(stack):
                pass
            ends = [end_of(rest(first)), end_of(rest(second))]
    assert [end["event"] for end in ends] == ["message_end", "message_end"]
    assert len(calls(stack, f"{user} 2")) == 1


def hear_until_ended(gateway: Part, client: httpx.Client, user: str, heard: list[Frame]) -> None:
    """Chat by that gateway, which is asked to leave after three events."""
    with chatting(client, user, user) as frames:
        for frame in frames:
            heard.append(frame)
            if len(said(heard)) == 3:
                gateway.process.terminate()


def hear_until_killed(gateway: Part, client: httpx.Client, user: str, heard: list[Frame]) -> None:
    """Chat by that gateway, which is killed after three events."""
    with chatting(client, user, user) as frames:
        for frame in frames:
            heard.append(frame)
            if len(said(heard)) == 3:
                gateway.kill()


def test_a_client_whose_gateway_is_killed_has_every_event_once_from_another(mortal: Mortal, user: str):
    stack = mortal.stack
    doomed = stack.start_gateway("doomed")
    heard: list[Frame] = []
    with app(stack, LONG) as client, app(stack, LONG, doomed) as lost:
        lost.headers["Authorization"] = client.headers["Authorization"]
        with pytest.raises(httpx.TransportError):
            hear_until_killed(stack.parts["doomed"], lost, user, heard)
        task = said(heard)[0]["task_id"]
        again = said(events(client, user, task, after=len(said(heard))))
    told = [*said(heard), *again]
    assert end_of(told)["event"] == "message_end"
    assert text_of(told) == saved(stack.database, told[0]["message_id"]).answer == whole_answer(stack, 100)


def test_a_restart_of_valkey_with_its_data_costs_a_chat_nothing(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        mortal.valkey.kill()
        mortal.valkey.start()
        told = [first, *rest(frames)]
        assert end_of(told)["event"] == "message_end"
        assert text_of(told) == whole_answer(stack, 100)
        assert len(calls(stack, user)) == 1
        assert wait_for(lambda: post(client, user).status_code == 200, "the next chat works")


def test_a_restart_of_valkey_without_its_data_leaves_no_chat_silent(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        redis = open_redis(mortal.valkey.url, pool_size=1)
        redis.flushall()
        redis.close()
        mortal.valkey.kill()
        mortal.valkey.start()
        told = [first, *rest(frames)]
        assert end_of(told)["event"] in {"message_end", "error"}
        assert len(calls(stack, user)) == 1
        wait_for(lambda: has_ended(stack.database, first["message_id"]), "the chat is saved")
        assert wait_for(lambda: post(client, user).status_code == 200, "the next chat works")


@pytest.mark.requirement("v1.fault.away")
def test_a_restart_of_postgres_is_a_503_while_it_is_away_and_costs_a_running_chat_nothing(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        mortal.postgres.kill()
        refused = post(client, user)
        assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        told = [first]
        while text_of(told) != whole_answer(stack, 100):
            told.append(first_said(frames))
        mortal.postgres.start()
        wait_for(lambda: answers(stack.database), "Postgres is back")
        told += rest(frames)
        assert end_of(told)["event"] == "message_end"
        assert saved(stack.database, first["message_id"]).answer == text_of(told)
        assert wait_for(lambda: post(client, user).status_code == 200, "the next chat works")
    left = balance(stack.database, user)
    assert left.left == left.ledger


def test_an_end_that_its_worker_could_not_say_any_more_is_said_by_the_keeper(mortal: Mortal, user: str):
    stack = mortal.stack
    busy_worker(stack).stop()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        task = uuid.UUID(wait_for(lambda: task_of(stack.database, user), "the chat is queued"))
        # This is what a worker does up to the moment in which it is killed.
        claimed = claim_run(stack.database, task, uuids.uuid7())
        assert claimed is not None
        redis = open_redis(mortal.valkey.url, pool_size=1)
        take_lease(redis, task, claimed.attempt, seconds=1)
        redis.close()
        end = RunEnd(RunState.SUCCEEDED, Made("The whole answer.", Usage(prompt_tokens=5, completion_tokens=4)))
        assert settle_run(stack.database, task, claimed.attempt, end, uuids.uuid7()) == "settled"
        stack.start_worker(f"worker-{uuids.uuid7()}")
        told = rest(frames)
    assert text_of(told) == "The whole answer."
    assert end_of(told)["event"] == "message_end"


def test_the_answer_of_a_client_that_vanished_is_completed_and_paid(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, "demo-slow:20+demo-tokens:50") as client:
        with chatting(client, user, user) as frames:
            first = first_said(frames)
        wait_for(lambda: has_ended(stack.database, first["message_id"]), "the chat is saved")
    kept = saved(stack.database, first["message_id"])
    assert (kept.state, kept.answer) == ("succeeded", whole_answer(stack, 50))
    assert balance(stack.database, user).left == GRANT - kept.tokens


def test_another_gateway_stops_a_chat_that_runs_and_the_providers_connection_is_cut(mortal: Mortal, user: str):
    stack = mortal.stack
    other = stack.start_gateway("other")
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        with httpx.Client(base_url=other, headers=client.headers) as elsewhere:
            assert stop(elsewhere, user, first["task_id"]) == {"result": "success"}
        told = [first, *rest(frames)]
    assert end_of(told)["event"] == "message_end"
    (call,) = wait_for(
        lambda: [row for row in calls(stack, user) if row["closed_by"]], "the provider's connection is cut", seconds=2
    )
    assert call["closed_by"] == "client"
    assert saved(stack.database, first["message_id"]).state == "stopped"
    stack.parts["other"].stop()


def test_a_chat_that_is_stopped_in_its_queue_never_starts(mortal: Mortal, user: str):
    stack = mortal.stack
    busy_worker(stack).stop()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        task = wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        assert stop(client, user, task) == {"result": "success"}
        told = rest(frames)
        stack.start_worker(f"worker-{uuids.uuid7()}")
        assert post(client, user, "Another question.").status_code == 200
    assert [frame["event"] for frame in told] == ["message_end"]
    assert calls(stack, user) == []
    assert ledger(stack.database, user)[:3] == [
        ("grant", GRANT, 0),
        ("reserve", ledger(stack.database, user)[1][1], 0),
        ("refund", -ledger(stack.database, user)[1][1], 0),
    ]


@pytest.mark.requirement("ops.full.length", "v1.fault.queue-full")
def test_a_queue_that_is_full_takes_nothing_more_and_reserves_nothing(mortal: Mortal, user: str):
    stack = mortal.stack
    busy_worker(stack).stop()
    url = stack.start_gateway("narrow", HELICON_QUEUE_LIMIT="2")
    with app(stack, "demo", url) as client, ExitStack() as waiting:
        queued = [waiting.enter_context(chatting(client, user, f"{user} {number}")) for number in range(2)]
        refused = wait_for(lambda: (r := post(client, "late")).status_code == 503 and r, "the queue is full")
        assert refused.json()["code"] == "service_unavailable"
        assert int(refused.headers["Retry-After"]) >= 1
        stack.start_worker(f"worker-{uuids.uuid7()}")
        assert [end_of(rest(frames))["event"] for frames in queued] == ["message_end"] * 2
    assert [entry for entry in ledger(stack.database, "late") if entry[0] == "reserve"] == []
    stack.parts["narrow"].stop()


@pytest.mark.requirement("ops.full.wait", "v1.fault.queue-wait")
def test_a_chat_that_waits_too_long_for_a_worker_is_failed_and_its_tokens_given_back(mortal: Mortal, user: str):
    stack = mortal.stack
    busy_worker(stack).stop()
    with app(stack, "demo") as client, chatting(client, user, user) as frames:
        wait_for(lambda: task_of(stack.database, user), "the chat is queued")
        redis = open_redis(mortal.valkey.url, pool_size=1)
        redis.delete("chat")  # no worker comes to it
        redis.close()
        impatient = stack.start_worker(
            f"worker-{uuids.uuid7()}", HELICON_QUEUE_SECONDS="0.1", HELICON_WORKER_QUEUES="default"
        )
        told = rest(frames)
    impatient.stop()
    stack.start_worker(f"worker-{uuids.uuid7()}")
    end = end_of(told)
    assert (end["event"], end["status"], end["code"]) == ("error", 503, "service_unavailable")
    assert balance(stack.database, user) == (GRANT, GRANT, GRANT)
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "refund"]


@pytest.mark.requirement("ops.leaving.worker")
def test_a_worker_that_leaves_ends_what_it_still_does_and_exits_well(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, LONG) as client, chatting(client, user, user) as frames:
        first = first_said(frames)
        assert busy_worker(stack).stop() == 0
        told = [first, *rest(frames)]
    stack.start_worker(f"worker-{uuids.uuid7()}")
    end = end_of(told)
    assert (end["event"], end["status"]) == ("error", 500)
    assert "the partial answer was kept" in end["message"]
    kept = saved(stack.database, first["message_id"])
    assert (kept.state, kept.error_code, kept.answer) == ("failed", "restarted", text_of(told))


@pytest.mark.requirement("ops.leaving.gateway")
def test_a_gateway_that_leaves_closes_its_streams_and_their_runs_go_on(mortal: Mortal, user: str):
    stack = mortal.stack
    leaving = stack.start_gateway("leaving", HELICON_DRAIN_SECONDS="1")
    heard: list[Frame] = []
    with app(stack, LONG) as client, app(stack, LONG, leaving) as lost:
        lost.headers["Authorization"] = client.headers["Authorization"]
        with pytest.raises(httpx.TransportError):
            hear_until_ended(stack.parts["leaving"], lost, user, heard)
        again = said(events(client, user, said(heard)[0]["task_id"], after=len(said(heard))))
    assert stack.parts["leaving"].stop() == 0
    told = [*said(heard), *again]
    assert end_of(told)["event"] == "message_end"
    assert text_of(told) == whole_answer(stack, 100)
