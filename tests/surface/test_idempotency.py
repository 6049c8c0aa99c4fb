"""The same question with the same key is one run, paid once, whatever its end."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from redis import Redis

from books import forget_events, ledger, make_older, saved_of
from neighbours import MakeApp
from stack import Stack
from talk import ask, calls, chatting, end_of, first_said, parse_sse, post, said, stream, text_of

KEY = {"Idempotency-Key": "once"}


@pytest.mark.requirement("v1.idempotency.joins")
def test_the_same_key_and_body_get_the_same_answer_and_pay_once(stack: Stack, client: httpx.Client, user: str):
    first = ask(client, user, user, headers=KEY)
    assert ask(client, user, user, headers=KEY) == first
    assert len(calls(stack, user)) == 1
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


@pytest.mark.requirement("v1.idempotency.joins")
def test_a_stream_is_joined_from_its_first_event(user: str, make_app: MakeApp):
    client = make_app(model="demo-slow:30+tokens:30")
    with chatting(client, user, headers=KEY) as frames_of:
        frames = [first_said(frames_of) for _ in range(2)]
        joined = stream(client, user, headers=KEY)
        frames += said(frames_of)
    assert joined == frames
    assert stream(client, user, headers=KEY) == frames


@pytest.mark.requirement("v1.idempotency.joins")
def test_the_same_request_many_times_at_once_is_one_run(stack: Stack, client: httpx.Client, user: str):
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: ask(client, user, user, headers=KEY), range(10)))
    assert answers == [answers[0]] * 10
    assert len(calls(stack, user)) == 1


@pytest.mark.requirement("v1.idempotency.conflict", "v1.errors.conflict")
@pytest.mark.parametrize("changed", [{"query": "Another?"}, {"response_mode": "streaming"}, {"inputs": {"a": "b"}}])
def test_the_same_key_with_another_body_is_a_conflict(client: httpx.Client, user: str, changed: dict[str, Any]):
    ask(client, user, headers=KEY)
    response = post(client, user, **{"query": "Hello?", **changed}, headers=KEY)
    fields = response.json()
    assert (response.status_code, fields["code"], fields["status"]) == (409, "conflict", 409)
    assert "Idempotency-Key" in fields["message"]


@pytest.mark.requirement("v1.idempotency.scope")
def test_a_key_is_a_users_and_an_apps_own(client: httpx.Client, user: str, make_app: MakeApp):
    first = ask(client, user, headers=KEY)
    other_user = ask(client, f"{user}-2", "Another?", headers=KEY)
    other_app = ask(make_app(), user, "Another?", headers=KEY)
    assert len({answer["task_id"] for answer in (first, other_user, other_app)}) == 3


@pytest.mark.requirement("v1.idempotency.day")
def test_a_key_is_good_for_24_hours(stack: Stack, client: httpx.Client, user: str):
    first = ask(client, user, headers=KEY)
    make_older(stack.database, "idempotency_keys", "user_id", user, hours=23)
    assert ask(client, user, headers=KEY) == first
    make_older(stack.database, "idempotency_keys", "user_id", user, hours=2)
    second = ask(client, user, "Another?", headers=KEY)
    assert second["task_id"] != first["task_id"]
    assert ask(client, user, "Another?", headers=KEY) == second


@pytest.mark.requirement("v1.idempotency.failed")
def test_a_run_that_failed_answers_with_the_same_failure(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model="demo-cut:3+tokens:9")
    first = post(client, user, user, headers=KEY)
    again = post(client, user, user, headers=KEY)
    assert (first.status_code, first.json()["code"]) == (400, "completion_request_error")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    streaming = {"Idempotency-Key": "streaming"}
    frames = stream(client, user, user, headers=streaming)
    assert stream(client, user, user, headers=streaming) == frames
    assert end_of(frames)["event"] == "error"
    assert len(calls(stack, user)) == 2


@pytest.mark.requirement("v1.idempotency.rebuilt")
def test_an_answer_whose_events_expired_is_rebuilt(redis: Redis, stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model="demo-slow:30+tokens:9")
    frames = stream(client, user, headers=KEY)
    blocking = ask(client, user, user, headers={"Idempotency-Key": "blocking"})
    for task in (frames[0]["task_id"], blocking["task_id"]):
        forget_events(redis, task)
    assert stream(client, user, headers=KEY) == [{**frames[0], "answer": text_of(frames)}, frames[-1]]
    assert ask(client, user, user, headers={"Idempotency-Key": "blocking"}) == blocking
    assert len(saved_of(stack.database, user)) == 2


@pytest.mark.requirement("v1.idempotency.joins")
def test_a_refused_request_leaves_its_key_free(client: httpx.Client, user: str):
    assert post(client, user, conversation_id="x", headers=KEY).status_code == 400
    assert post(client, user, conversation_id="01a1fd57-2ea4-7659-965f-98c7e6aa0e12", headers=KEY).status_code == 404
    assert ask(client, user, headers=KEY)["answer"] == "Demo answer to: Hello?"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused_by_its_name(client: httpx.Client, user: str, key: str):
    response = post(client, user, headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
    assert response.json()["message"].startswith("Idempotency-Key: ")


@pytest.mark.requirement("v1.errors.early")
def test_a_stream_that_joins_has_the_status_of_a_stream(client: httpx.Client, user: str):
    first, again = (post(client, user, response_mode="streaming", headers=KEY) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert said(parse_sse(first.text)) == said(parse_sse(again.text))
