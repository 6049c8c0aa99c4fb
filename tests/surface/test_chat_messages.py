"""A chat over `/v1`, blocking and streaming: every field that a client sees."""

import time
from typing import Any
from uuid import UUID

import httpx
import pytest

from books import name_of, saved, task_of
from neighbours import MakeApp
from stack import Stack
from talk import PING, ask, chatting, end_of, parse_sse, post, said, stop, stream, text_of

TIMES = ("latency", "time_to_first_token", "time_to_generate")
USAGE = {
    "prompt_tokens": 9,
    "prompt_unit_price": "0.001",
    "prompt_price_unit": "0.001",
    "prompt_price": "0.0000090",
    "completion_tokens": 6,
    "completion_unit_price": "0.002",
    "completion_price_unit": "0.001",
    "completion_price": "0.0000120",
    "total_tokens": 15,
    "total_price": "0.0000210",
    "currency": "USD",
}


def without_times(usage: dict[str, Any]) -> dict[str, Any]:
    """The usage without its times, which are checked here."""
    times = [usage[name] for name in TIMES]
    assert all(isinstance(seconds, int | float) and seconds >= 0 for seconds in times), times
    assert usage["time_to_first_token"] <= usage["latency"]
    return {name: value for name, value in usage.items() if name not in TIMES}


@pytest.mark.requirement(
    "v1.auth.bearer", "v1.chat.blocking", "v1.chat.mode-default", "v1.chat.usage", "v1.chat.conversation-new",
    "v1.times", "v1.ids.version", "v1.user.place",
)  # fmt: skip
def test_a_chat_is_answered_in_one_piece(client: httpx.Client, user: str):
    began = int(time.time())
    response = post(client, user)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    answer = response.json()
    ids = {name: answer[name] for name in ("task_id", "id", "message_id", "conversation_id")}
    assert ids["id"] == ids["message_id"]
    assert [UUID(text).version for text in ids.values()] == [7, 7, 7, 7]
    assert began <= answer["created_at"] <= time.time()
    usage = without_times(answer["metadata"]["usage"])
    assert answer == {
        "event": "message",
        **ids,
        "mode": "chat",
        "answer": "Demo answer to: Hello?",
        "metadata": {
            "usage": answer["metadata"]["usage"],
            "retriever_resources": [],
            "annotation_reply": None,
        },
        "created_at": int(answer["created_at"]),
    }
    assert usage == USAGE


@pytest.mark.requirement(
    "v1.chat.streaming", "v1.chat.frame", "v1.chat.frame-common", "v1.chat.message", "v1.chat.message-end",
    "v1.chat.one-end", "v1.chat.usage", "v1.times",
)  # fmt: skip
def test_a_chat_is_answered_as_a_stream_of_frames(client: httpx.Client, user: str):
    response = post(client, user, response_mode="streaming")
    assert response.status_code == 200
    headers = ("Content-Type", "Cache-Control", "X-Accel-Buffering")
    assert [response.headers[name] for name in headers] == ["text/event-stream; charset=utf-8", "no-cache", "no"]
    frames = said(parse_sse(response.text))
    names = ("task_id", "message_id", "conversation_id", "created_at")
    common = {name: frames[0][name] for name in names}
    assert isinstance(common["created_at"], int)
    *messages, end = frames
    assert messages == [
        {"event": "message", **common, "id": common["message_id"], "answer": frame["answer"]} for frame in messages
    ]
    assert text_of(frames) == "Demo answer to: Hello?"
    usage = end["metadata"]["usage"]
    assert without_times(usage) == USAGE
    assert end == {
        "event": "message_end",
        **common,
        "id": common["message_id"],
        "metadata": {"usage": usage, "retriever_resources": []},
        "files": [],
    }


@pytest.mark.requirement("v1.chat.message")
def test_deltas_come_while_the_answer_is_made(user: str, make_app: MakeApp):
    with chatting(make_app(model="demo-slow:40+tokens:20"), user) as frames:
        deltas = [frame for frame in said(frames) if frame["event"] == "message"]
    assert len(deltas) > 5
    assert len(text_of(deltas).split()) == 20


@pytest.mark.requirement("v1.chat.ping")
def test_silence_is_broken_by_pings_from_the_start_on(user: str, hurried: Stack, make_app: MakeApp):
    response = post(make_app(hurried, model="demo-slow-first:0.8"), user, response_mode="streaming")
    assert response.text.startswith(f"{PING}\n\n")
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: Hello?"


@pytest.mark.requirement("v1.chat.streaming")
def test_the_headers_come_before_the_run_says_anything(user: str, stack: Stack, make_app: MakeApp):
    client = make_app(model="demo-slow-first:50")
    with chatting(client, user, user) as frames_of:
        assert stop(client, user, str(task_of(stack.database, user))) == {"result": "success"}
        assert [frame["event"] for frame in said(frames_of)] == ["message_end"]


@pytest.mark.requirement("v1.chat.ping-queued")
def test_silence_is_broken_by_pings_while_a_run_is_queued(user: str, lonely: Stack, make_app: MakeApp):
    with chatting(make_app(lonely), user) as frames:
        assert [next(frames).data for _ in range(3)] == [None, None, None]


@pytest.mark.requirement("v1.json")
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_text_is_utf8_and_not_escaped(client: httpx.Client, user: str, mode: str):
    response = post(client, user, "Größe 你好 😀?", response_mode=mode)
    assert "Größe" in response.content.decode()
    assert "\\u" not in response.content.decode()
    if mode == "blocking":
        assert response.json()["answer"] == "Demo answer to: Größe 你好 😀?"
    else:
        assert text_of(said(parse_sse(response.text))) == "Demo answer to: Größe 你好 😀?"


@pytest.mark.requirement("v1.chat.query-nul")
def test_nul_characters_in_a_query_are_dropped(client: httpx.Client, user: str):
    assert ask(client, user, "He\0llo\0?")["answer"] == "Demo answer to: Hello?"


@pytest.mark.requirement("v1.chat.name")
@pytest.mark.parametrize(
    ("query", "name"), [("Hello?", "Hello?"), ("Tell me everything there is.", "Tell me everything t…")]
)
def test_a_conversation_is_named_by_its_first_question(
    stack: Stack, client: httpx.Client, user: str, query: str, name: str
):
    assert name_of(stack.database, ask(client, user, query)["conversation_id"]) == name


@pytest.mark.requirement("v1.errors.unknown-fields")
def test_fields_that_nobody_knows_are_ignored(client: httpx.Client, user: str):
    unknown = {"trace_id": 1, "workflow": {"a": [None]}, "model_config": {}, "auto_generate_name": False}
    assert ask(client, user, **unknown)["answer"] == "Demo answer to: Hello?"


@pytest.mark.requirement("v1.ids.absent", "v1.chat.conversation-new")
@pytest.mark.parametrize("absent", [{}, {"conversation_id": None}, {"conversation_id": ""}])
def test_no_conversation_id_begins_a_conversation(client: httpx.Client, user: str, absent: dict[str, Any]):
    first, second = ask(client, user, **absent), ask(client, user, **absent)
    assert first["conversation_id"] != second["conversation_id"]


def test_an_answer_is_saved_as_it_was_sent(stack: Stack, client: httpx.Client, user: str):
    frames = stream(client, user)
    usage = end_of(frames)["metadata"]["usage"]
    kept = saved(stack.database, frames[0]["message_id"])
    assert kept == ("succeeded", "Hello?", text_of(frames), None, usage["total_tokens"])


@pytest.mark.requirement("v1.chat.event-ids")
@pytest.mark.parametrize(("headers", "numbered"), [({}, False), ({"X-Event-Ids": "1"}, True)])
def test_frames_carry_ids_only_where_they_are_asked_for(
    client: httpx.Client, user: str, *, headers: dict[str, str], numbered: bool
):
    response = post(client, user, response_mode="streaming", headers=headers)
    ids = [frame.id for frame in parse_sse(response.text)]
    assert ids == ([*range(1, len(ids) + 1)] if numbered else [None] * len(ids))
    assert stop(client, user, said(parse_sse(response.text))[0]["task_id"]) == {"result": "success"}
