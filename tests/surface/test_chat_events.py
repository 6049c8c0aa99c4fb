"""A run's events again: from wherever a client left off, live to the end or long after it."""

from typing import Any

import httpx
import pytest
import uuid_utils.compat as uuids
from redis import Redis

from books import forget_events, kept_for
from neighbours import MakeApp
from talk import CHATS, Frame, ask, chatting, end_of, events, listening, said, stream, text_of

SLOW = "demo-slow:30+tokens:40"


def numbered(frames: list[dict[str, Any]]) -> list[Frame]:
    return [Frame(data, seq) for seq, data in enumerate(frames, 1)]


@pytest.mark.requirement("v1.events.replay", "v1.user.place")
def test_the_events_of_a_run_are_the_frames_of_its_stream_with_ids_any_number_of_times(client: httpx.Client, user: str):
    frames = stream(client, user)
    for _ in range(3):
        assert events(client, user, frames[0]["task_id"]) == numbered(frames)


@pytest.mark.requirement("v1.events.replay")
def test_a_blocking_chat_has_events_too(client: httpx.Client, user: str):
    answer = ask(client, user)
    assert text_of(said(events(client, user, answer["task_id"]))) == answer["answer"]


@pytest.mark.requirement("v1.events.after", "v1.events.last-event-id")
def test_events_are_given_from_where_the_client_left_off(user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    frames = stream(client, user)
    task = frames[0]["task_id"]
    assert len(frames) > 3
    for seq in (0, 1, 3, len(frames) - 1):
        rest = numbered(frames)[seq:]
        assert events(client, user, task, after=seq) == rest
        assert events(client, user, task, last=seq) == rest
    assert events(client, user, task, last=3, after=1) == numbered(frames)[3:]


@pytest.mark.requirement("v1.events.after")
def test_a_client_that_has_everything_is_sent_nothing_more(client: httpx.Client, user: str):
    frames = stream(client, user)
    response = client.get(f"{CHATS}/{frames[0]['task_id']}/events", params={"user": user, "after": len(frames)})
    assert (response.status_code, response.text) == (200, "")


@pytest.mark.requirement("v1.events.live")
def test_a_client_comes_back_while_the_run_lives_and_misses_nothing(user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with chatting(client, user) as frames_of:
        frames = [next(frames_of).data for _ in range(2)]
        task = frames[0]["task_id"]
    with (
        listening(client, "GET", f"{CHATS}/{task}/events", params={"user": user, "after": 2}) as resumed_of,
        listening(client, "GET", f"{CHATS}/{task}/events", params={"user": user}) as again_of,
    ):
        resumed, again = list(resumed_of), list(again_of)
    assert again[:2] == numbered(frames)
    assert again[2:] == resumed
    assert [frame.id for frame in again] == [*range(1, len(again) + 1)]
    assert len(text_of(said(again)).split()) == 40
    assert end_of(said(again))["event"] == "message_end"
    assert events(client, user, task) == again


@pytest.mark.requirement("v1.events.replay", "v1.chat.streaming")
def test_the_headers_are_those_of_a_stream(client: httpx.Client, user: str):
    task = ask(client, user)["task_id"]
    headers = client.get(f"{CHATS}/{task}/events", params={"user": user}).headers
    assert [headers[name] for name in ("Content-Type", "Cache-Control", "X-Accel-Buffering")] == [
        "text/event-stream; charset=utf-8",
        "no-cache",
        "no",
    ]


@pytest.mark.requirement("v1.events.hour")
def test_events_are_kept_for_an_hour_after_the_end(redis: Redis, client: httpx.Client, user: str):
    task = ask(client, user)["task_id"]
    assert 3500 < kept_for(redis, task) <= 3600


@pytest.mark.requirement("v1.events.rebuilt")
def test_events_that_expired_are_rebuilt_from_the_message(redis: Redis, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    frames = stream(client, user)
    task, text, end = frames[0]["task_id"], text_of(frames), frames[-1]
    forget_events(redis, task)
    assert said(events(client, user, task)) == [{**frames[0], "answer": text}, end]
    *messages, last = said(events(client, user, task, after=3))
    assert last == end
    assert [frame["answer"] for frame in messages] == [text]


@pytest.mark.requirement("v1.events.rebuilt", "v1.chat.partial")
def test_a_failure_whose_events_expired_is_rebuilt_with_its_partial_answer(redis: Redis, user: str, make_app: MakeApp):
    client = make_app(model="demo-cut:5+tokens:9")
    frames = stream(client, user)
    forget_events(redis, frames[0]["task_id"])
    rebuilt = said(events(client, user, frames[0]["task_id"]))
    assert rebuilt == [{**frames[0], "answer": text_of(frames)}, frames[-1]]


@pytest.mark.requirement("v1.events.unknown", "v1.ids.path")
@pytest.mark.parametrize("task", [str(uuids.uuid7()), "nope", "1", "ü", "x" * 300])
def test_an_unknown_task_is_not_found(client: httpx.Client, user: str, task: str):
    response = client.get(f"{CHATS}/{task}/events", params={"user": user})
    assert response.status_code == 404
    assert response.json() == {"code": "not_found", "message": "Task not found.", "status": 404}


@pytest.mark.requirement("v1.errors.field")
@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30, "٣"])
def test_a_place_that_is_none_is_refused_by_its_name(client: httpx.Client, user: str, after: str):
    task = ask(client, user)["task_id"]
    response = client.get(f"{CHATS}/{task}/events", params={"user": user, "after": after})
    fields = response.json()
    assert (response.status_code, fields["code"]) == (400, "invalid_param")
    assert fields["message"].startswith("after: ")


@pytest.mark.requirement("v1.user.default-events")
def test_events_without_a_user_are_those_of_the_shared_user(client: httpx.Client):
    task = ask(client, "DEFAULT-USER")["task_id"]
    response = client.get(f"{CHATS}/{task}/events")
    assert response.status_code == 200, response.text


@pytest.mark.requirement("v1.user.default-events")
def test_events_of_another_user_are_not_found_without_a_user(client: httpx.Client, user: str):
    task = ask(client, user)["task_id"]
    assert client.get(f"{CHATS}/{task}/events").status_code == 404
