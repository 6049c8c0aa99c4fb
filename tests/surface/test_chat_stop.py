"""Stop means stop: the provider's connection is cut, what was made is saved and paid, and nobody else can do it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import uuid_utils.compat as uuids

from books import attempts, balance, has_ended, ledger, saved, task_of
from neighbours import MakeApp, at
from stack import Stack, wait_for
from talk import CHATS, ask, calls, chatting, end_of, first_said, said, stop, stream, text_of

SLOW = "demo-slow:30+tokens:300"
SUCCESS = {"result": "success"}


def ended_call(stack: Stack, question: str) -> dict[str, Any]:
    """The only call with this question, as it ended."""
    (call,) = wait_for(lambda: [call for call in calls(stack, question) if call["closed_by"]], "the call has ended")
    return call


@pytest.mark.requirement(
    "v1.stop.success", "v1.stop.running", "v1.stop.end", "v1.stop.saved", "v1.stop.paid", "ops.demo.requests"
)  # fmt: skip
def test_a_running_chat_is_cut_saved_and_paid_for_what_was_made(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with chatting(client, user, user) as frames_of:
        frames = [first_said(frames_of) for _ in range(3)]
        stopped_at = time.time()
        assert stop(client, user, frames[0]["task_id"]) == SUCCESS
        frames += said(frames_of)
    end = end_of(frames)
    assert end["event"] == "message_end"
    call = ended_call(stack, user)
    assert call["closed_by"] == "client"
    assert call["closed_at"] - stopped_at < 2
    made = len(text_of(frames).split())
    assert 3 <= made <= call["tokens_sent"] < 300
    usage = end["metadata"]["usage"]
    assert usage["completion_tokens"] == made
    assert saved(stack.database, end["message_id"]) == ("stopped", user, text_of(frames), None, usage["total_tokens"])
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]
    granted, left, total = balance(stack.database, user)
    assert left == total == granted - usage["total_tokens"]


@pytest.mark.requirement("v1.stop.running", "v1.stop.end")
def test_a_chat_is_stopped_before_its_first_token_and_costs_nothing(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model="demo-slow-first:50")
    with ThreadPoolExecutor(1) as threads:
        streaming = threads.submit(stream, client, user, user)
        wait_for(lambda: calls(stack, user), "the provider was asked")
        stopped_at = time.time()
        assert stop(client, user, task_of(stack.database, user)) == SUCCESS
        end = end_of(streaming.result())
    assert (end["event"], end["metadata"]["usage"]["total_tokens"]) == ("message_end", 0)
    assert ended_call(stack, user)["closed_at"] - stopped_at < 2
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "refund"]


@pytest.mark.requirement("v1.stop.other-gateway", "v1.stop.running")
def test_a_chat_is_stopped_through_another_gateway(stack: Stack, user: str, tuned: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with at(client, tuned) as other, chatting(client, user, user) as frames_of:
        frames = [first_said(frames_of)]
        stopped_at = time.time()
        assert stop(other, user, frames[0]["task_id"]) == SUCCESS
        frames += said(frames_of)
    assert end_of(frames)["event"] == "message_end"
    assert ended_call(stack, user)["closed_at"] - stopped_at < 2


@pytest.mark.requirement("v1.stop.queued", "v1.stop.end")
def test_a_queued_chat_is_dropped_and_never_starts(user: str, lonely: Stack, make_app: MakeApp):
    client = make_app(lonely)
    with chatting(client, user, user) as frames:
        assert next(frames).data is None
        task = task_of(lonely.database, user)
        assert stop(client, user, task) == SUCCESS
        end = end_of(said(frames))
    assert (end["event"], end["metadata"]["usage"]["total_tokens"]) == ("message_end", 0)
    assert saved(lonely.database, end["message_id"]) == ("stopped", user, "", None, 0)
    assert [kind for kind, _, _ in ledger(lonely.database, user)] == ["grant", "reserve", "refund"]
    worker = lonely.start_worker()
    ask(client, user, f"{user} again")  # which stands behind it in the queue
    assert calls(lonely, user) == []
    assert attempts(lonely.database, task) == 0
    worker.stop()
    del lonely.parts["worker"]


@pytest.mark.requirement("v1.stop.success", "v1.stop.nothing")
@pytest.mark.parametrize("task", [str(uuids.uuid7()), "nope", "1", "x" * 300, "ü", "%2e%2e"])
def test_stopping_what_never_was_does_nothing(client: httpx.Client, user: str, task: str):
    assert stop(client, user, task) == SUCCESS


@pytest.mark.requirement("v1.stop.nothing")
def test_stopping_what_has_ended_changes_nothing(stack: Stack, client: httpx.Client, user: str):
    answer = ask(client, user)
    before = saved(stack.database, answer["message_id"]), ledger(stack.database, user)
    assert stop(client, user, answer["task_id"]) == SUCCESS
    assert (saved(stack.database, answer["message_id"]), ledger(stack.database, user)) == before


@pytest.mark.requirement("v1.isolation.stop")
def test_nobody_stops_the_chat_of_another_user_or_app(stack: Stack, user: str, make_app: MakeApp):
    client, stranger = make_app(model="demo-slow:20+tokens:40"), make_app()
    with chatting(client, user) as frames_of:
        frames = [first_said(frames_of)]
        task = frames[0]["task_id"]
        assert stop(client, f"{user}-other", task) == SUCCESS
        assert stop(stranger, user, task) == SUCCESS
        frames += said(frames_of)
    assert len(text_of(frames).split()) == 40
    assert saved(stack.database, frames[0]["message_id"]).state == "succeeded"


@pytest.mark.requirement("v1.stop.success")
def test_stopping_twice_is_as_good_as_once(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with chatting(client, user) as frames_of:
        frames = [first_said(frames_of)]
        for _ in range(3):
            assert stop(client, user, frames[0]["task_id"]) == SUCCESS
        frames += said(frames_of)
    assert end_of(frames)["event"] == "message_end"
    assert has_ended(stack.database, frames[0]["message_id"])


@pytest.mark.requirement("v1.user.required-stop")
@pytest.mark.parametrize("body", [{}, {"user": None}, {"user": ""}])
def test_a_stop_names_its_user(client: httpx.Client, body: dict):
    response = client.post(f"{CHATS}/{uuids.uuid7()}/stop", json=body)
    assert response.status_code == 400
    assert response.json() == {"code": "invalid_param", "message": "Arg user must be provided.", "status": 400}
