"""What a client does on a WebSocket: chat, prompt, resume, stop; any number of them at once."""

import json
from collections.abc import Iterator

import httpx
import pytest
import uuid_utils.compat as uuids

from books import balance, has_ended, ledger, saved, saved_of, task_of
from neighbours import MakeApp, app_of
from socketing import Client, connected, entered, frames
from stack import Stack, wait_for
from talk import ask, calls, end_of, events, said, stop, stream, text_of

SLOW = "demo-slow:20+tokens:40"
LONG = "demo-slow:30+tokens:300"


def key_of(client: httpx.Client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def socket(stack: Stack, user: str) -> Iterator[Client]:
    """The user's socket, with the default app's key."""
    with entered(stack.base_url, stack.app_key, user) as socket:
        yield socket


@pytest.mark.requirement("ws.auth")
def test_a_key_and_a_user_open_the_socket_and_the_app_is_told(stack: Stack, user: str, make_app: MakeApp):
    client = make_app()
    with connected(stack.base_url) as socket:
        assert socket.ask(type="auth", key=key_of(client), user=user) == {"type": "ready", "app": app_of(client)}


@pytest.mark.requirement("ws.chat", "ws.frames")
def test_a_chat_says_what_the_stream_of_v1_says(stack: Stack, user: str, client: httpx.Client, socket: Client):
    told = socket.chat("a", user)
    run = told[0]["data"]["task_id"]
    again = events(client, user, run, last=0)
    assert told == [{"type": "event", "id": "a", "seq": frame.id, "data": frame.data} for frame in again if frame.data]
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    end = end_of(frames(told))
    assert text_of(frames(told)) == saved(stack.database, end["message_id"]).answer == f"Demo answer to: {user}"
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "settle"]


@pytest.mark.requirement("ws.chat")
@pytest.mark.parametrize("message_id", ["", "é\n", 0, -1.5, True, None, [1, {"a": None}], {"run": "é"}, "x" * 254])
def test_an_id_is_whatever_json_the_client_likes(socket: Client, message_id: object):
    assert end_of(frames(socket.chat(message_id)))["event"] == "message_end"


@pytest.mark.requirement("ws.chat")
def test_the_fields_of_a_chat_are_those_of_v1(stack: Stack, user: str, make_app: MakeApp):
    form = json.dumps([{"variable": "goods", "required": True}])
    client = make_app(prompt="You sell {{goods}}.", form=json.loads(form))
    with entered(stack.base_url, key_of(client), user) as socket:
        refused = socket.ask(type="chat", id=1, query="Hi")
        assert (refused["code"], refused["message"]) == ("invalid_param", "goods is required in input form")
        inputs = {"goods": "tea", "unknown": 1}
        first = frames(socket.chat(2, f"{user} 1", inputs=inputs, user=user, response_mode="blocking", files=[]))
        conversation = first[0]["conversation_id"]
        second = frames(socket.chat(3, f"{user} 2", conversation_id=conversation, extra={"ignored": True}))
    assert second[0]["conversation_id"] == conversation
    (call,) = calls(stack, f"{user} 2")
    assert [message["content"] for message in call["body"]["messages"]] == [
        "You sell tea.",
        f"{user} 1",
        f"Demo answer to: {user} 1",
        f"{user} 2",
    ]


@pytest.mark.requirement("ws.many")
def test_many_runs_go_on_at_once_and_each_is_whole(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW, token_per_user=0)
    with entered(stack.base_url, key_of(client), user) as socket:
        for number in range(20):
            socket.send(type="chat", id=number, query=f"{user} {number}")
        received = []
        while sum(message["data"]["event"] == "message_end" for message in received) < 20:
            received.append(socket.receive())
    ids = [message["id"] for message in received]
    assert ids != sorted(ids), "events of different runs come in between each other"
    for number in range(20):
        own = [message for message in received if message["id"] == number]
        assert [message["seq"] for message in own] == list(range(1, len(own) + 1))
        end = end_of(frames(own))
        assert (end["event"], len(text_of(frames(own)).split())) == ("message_end", 40)


@pytest.mark.requirement("ws.many")
def test_a_user_has_no_more_chats_at_once_than_the_app_allows(stack: Stack, user: str, make_app: MakeApp):
    with entered(stack.base_url, key_of(make_app(model=SLOW, max_user_chat=2)), user) as socket:
        for number in range(2):
            socket.send(type="chat", id=number, query=user)
            socket.next_of(number)
        socket.send(type="chat", id="one too many", query=user)
        refused = socket.next_of("one too many")
        assert (refused["type"], refused["code"], refused["status"]) == ("error", "too_many_requests", 429)
        for number in range(2):
            assert end_of(frames(socket.events(number)))["event"] == "message_end"
        assert end_of(frames(socket.chat("a place is free")))["event"] == "message_end"


@pytest.mark.requirement("ws.many")
def test_what_a_socket_has_under_way_is_bounded(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model="demo-slow-first:60")
    with entered(stack.base_url, key_of(client), user) as socket:
        socket.send(type="chat", id="chat", query=user)
        task = str(wait_for(lambda: task_of(stack.database, user), "the chat is begun"))
        for number in range(1000):
            socket.send(type="resume", id=number, task_id=task)
        refused = socket.next_of(999)
        assert (refused["code"], refused["status"]) == ("too_many_requests", 429)
        assert socket.ask(type="ping") == {"type": "pong"}
        assert stop(client, user, task) == {"result": "success"}
        assert [socket.events(number)[-1]["data"]["event"] for number in (0, 998, "chat")] == ["message_end"] * 3


@pytest.mark.requirement("ws.communicate")
def test_a_prompt_is_a_chat_in_the_users_current_conversation(stack: Stack, user: str, socket: Client):
    conversations = []
    for number, prompt in enumerate(["Hi", "/chat Hello", "/CHAT", "again"]):
        socket.send(type="communicate", id=number, prompt=prompt)
        told = frames(socket.events(number))
        assert end_of(told)["event"] == "message_end"
        conversations.append(told[0]["conversation_id"])
    assert conversations[0] == conversations[1] != conversations[2] == conversations[3]
    assert [message.query for message in saved_of(stack.database, user)] == ["Hi", "Hello", "/CHAT", "again"]


@pytest.mark.requirement("ws.communicate")
def test_a_command_is_answered_on_the_socket(socket: Client):
    for prompt, words in [("/help", "/chat"), ("/nothing", "Unknown command: /nothing"), ("/chat", "new conversation")]:
        socket.send(type="communicate", id=prompt, prompt=prompt, file=None)
        assert words in text_of(frames(socket.events(prompt)))


@pytest.mark.requirement("ws.communicate", "ws.auth")
def test_an_administrator_prompts_in_the_default_app_or_the_one_it_names(stack: Stack, user: str, make_app: MakeApp):
    client = make_app()
    for named, name in [({}, "default"), ({"app_id": app_of(client)}, app_of(client))]:
        with connected(stack.base_url) as socket:
            ready = socket.ask(type="auth", key=stack.admin_key, user=user, **named)
            assert ready == {"type": "ready", "app": name}
            socket.send(type="communicate", id=1, prompt=f"In {name}")
            told = frames(socket.events(1))
            assert end_of(told)["event"] == "message_end"
            refused = socket.ask(type="chat", id=2, query="Hi")
            assert (refused["id"], refused["code"], refused["status"]) == (2, "forbidden", 403)
    assert text_of(said(events(client, user, told[0]["task_id"]))) == text_of(told)


@pytest.mark.requirement("ws.resume")
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_that_has_ended_is_heard_again_from_any_event_on(socket: Client, user: str, after: int):
    told = socket.chat("first", user)
    socket.send(type="resume", id="again", task_id=told[0]["data"]["task_id"], after=after)
    assert socket.events("again") == [{**event, "id": "again"} for event in told if event["seq"] > after]


@pytest.mark.requirement("ws.resume")
def test_a_client_that_has_every_event_is_told_that_there_are_no_more(socket: Client, user: str):
    last = socket.chat("first", user)[-1]
    task = last["data"]["task_id"]
    assert socket.ask(type="resume", id="again", task_id=task, after=last["seq"]) == {"type": "ok", "id": "again"}


@pytest.mark.requirement("ws.resume")
def test_a_run_that_goes_on_is_followed_to_its_end_from_anywhere(stack: Stack, user: str, make_app: MakeApp):
    key = key_of(make_app(model=SLOW))
    with entered(stack.base_url, key, user) as one, entered(stack.base_url, key, user) as other:
        one.send(type="chat", id=1, query=user)
        first = one.next_of(1)
        other.send(type="resume", id="rest", task_id=first["data"]["task_id"], after=1)
        rest = other.events("rest")
        assert [{**event, "id": 1} for event in rest] == one.events(1)
    assert rest[0]["seq"] == 2


@pytest.mark.requirement("ws.resume")
@pytest.mark.parametrize("task", [None, "not an id", ""])
def test_an_unknown_run_is_not_found(socket: Client, task: str | None):
    refused = socket.ask(type="resume", id=1, task_id=str(uuids.uuid7()) if task is None else task)
    assert refused == {"type": "error", "id": 1, "code": "not_found", "message": "Task not found.", "status": 404}


@pytest.mark.requirement("ws.stop")
def test_a_run_is_stopped_and_ends_as_on_the_route(stack: Stack, user: str, make_app: MakeApp):
    with entered(stack.base_url, key_of(make_app(model=LONG)), user) as socket:
        socket.send(type="chat", id="chat", query=user)
        first = socket.next_of("chat")
        socket.send(type="stop", id="stop", task_id=first["data"]["task_id"])
        assert socket.next_of("stop") == {"type": "ok", "id": "stop"}
        told = frames([first, *socket.events("chat")])
    end = end_of(told)
    assert end["event"] == "message_end"
    kept = saved(stack.database, end["message_id"])
    assert (kept.state, kept.answer) == ("stopped", text_of(told))
    assert 0 < end["metadata"]["usage"]["completion_tokens"] < 300


@pytest.mark.requirement("ws.stop")
@pytest.mark.parametrize("task", [str(uuids.uuid7()), "not an id", ""])
def test_a_run_that_never_was_is_stopped_without_a_word(socket: Client, task: str):
    assert socket.ask(type="stop", task_id=task) == {"type": "ok", "id": None}


@pytest.mark.requirement("ws.stop", "ws.resume")
def test_anothers_run_is_neither_heard_nor_stopped(stack: Stack, user: str, make_app: MakeApp):
    key = key_of(make_app(model=SLOW))
    with entered(stack.base_url, key, user) as own:
        own.send(type="chat", id=1, query=user)
        first = own.next_of(1)
        task = first["data"]["task_id"]
        for other_key, other_user in [(key, f"{user}-other"), (stack.app_key, user), (stack.admin_key, user)]:
            with entered(stack.base_url, other_key, other_user) as other:
                assert other.ask(type="stop", id=2, task_id=task) == {"type": "ok", "id": 2}
                assert other.ask(type="resume", id=3, task_id=task)["code"] == "not_found"
        told = frames([first, *own.events(1)])
    assert saved(stack.database, end_of(told)["message_id"]).state == "succeeded"
    assert len(text_of(told).split()) == 40


@pytest.mark.requirement("ws.ping")
def test_a_ping_is_answered(socket: Client):
    assert socket.ask(type="ping", id=1) == {"type": "pong"}


@pytest.mark.requirement("ws.error")
def test_what_v1_refuses_is_an_error_of_the_request_and_the_socket_stays(stack: Stack, user: str, make_app: MakeApp):
    poor, lost = make_app(token_per_user=1), make_app(model="no-such-model-anywhere")
    for client, code, status in [
        (poor, "provider_quota_exceeded", 400),
        (lost, "model_currently_not_support", 400),
    ]:
        response = client.post("/v1/chat-messages", json={"query": "Hi", "user": user})
        with entered(stack.base_url, key_of(client), user) as socket:
            told = socket.ask(type="chat", id=["a"], query="Hi")
            told = told if told["type"] == "error" else told["data"]
            expected = response.json()
            assert {name: told[name] for name in expected} == expected
            assert (told["code"], told["status"]) == (code, status)
            assert socket.ask(type="ping") == {"type": "pong"}


@pytest.mark.requirement("ws.error", "ws.many")
def test_the_rate_limit_holds_on_the_socket(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(rate_per_user=3)
    with entered(stack.base_url, key_of(client), user) as socket:
        ask(client, user)
        socket.chat(1)
        socket.send(type="communicate", id=2, prompt="/help")
        task = socket.events(2)[0]["data"]["task_id"]
        for request in ({"type": "chat", "query": "Hi"}, {"type": "communicate", "prompt": "/help"}):
            refused = socket.ask(id=3, **request)
            assert (refused["id"], refused["code"], refused["status"]) == (3, "too_many_requests", 429)
        socket.send(type="resume", id=4, task_id=task)
        assert socket.events(4), "hearing again is not limited"


@pytest.mark.requirement("ws.close")
def test_closing_the_socket_ends_no_run(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with entered(stack.base_url, key_of(client), user) as socket:
        socket.send(type="chat", id=1, query=user)
        first = socket.next_of(1)["data"]
    wait_for(lambda: has_ended(stack.database, first["message_id"]), "the run has ended")
    kept = saved(stack.database, first["message_id"])
    assert (kept.state, len(kept.answer.split())) == ("succeeded", 40)
    granted, left, total = balance(stack.database, user)
    assert left == total == granted - kept.tokens
    assert text_of(said(events(client, user, first["task_id"]))) == kept.answer


@pytest.mark.requirement("ws.stop")
def test_a_run_of_the_socket_is_stopped_by_the_route_and_the_other_way_round(
    stack: Stack, user: str, make_app: MakeApp
):
    client = make_app(model=LONG)
    with entered(stack.base_url, key_of(client), user) as socket:
        socket.send(type="chat", id=1, query=user)
        first = socket.next_of(1)
        assert stop(client, user, first["data"]["task_id"]) == {"result": "success"}
        assert end_of(frames(socket.events(1)))["event"] == "message_end"
    assert end_of(stream(make_app(), user))["event"] == "message_end"
