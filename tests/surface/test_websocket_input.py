"""What a WebSocket refuses: who may not come in, and frames that can't be used."""

import json
from collections.abc import Iterator

import httpx
import pytest
from wsproto.events import BytesMessage, TextMessage
from wsproto.frame_protocol import CloseReason

from books import saved_of
from neighbours import HURRIED, MakeApp, app_of
from raw import send_raw
from shared.store.apps import set_disabled
from shared.store.keys import create_key, revoke_key
from socketing import Client, RawSocket, connected, entered, handshake
from stack import Stack, wait_for

MEGABYTE = 1 << 20
PONG = {"type": "pong"}


@pytest.fixture
def socket(stack: Stack, user: str) -> Iterator[Client]:
    with entered(stack.base_url, stack.app_key, user) as socket:
        yield socket


def refusal(message: dict) -> tuple[object, str, int]:
    """The id, the code and the status of an error, which has these fields and a message alone."""
    assert set(message) == {"type", "id", "code", "message", "status"}, message
    assert message["type"] == "error"
    return message["id"], message["code"], message["status"]


@pytest.mark.requirement("ws.auth-failed")
@pytest.mark.parametrize(
    "auth",
    [
        {"key": "app-unknown", "user": "ann"},
        {"key": "x" * 5000, "user": "ann"},
        {"key": "", "user": "ann"},
        {"key": "\0", "user": "ann"},
        {"key": 5, "user": "ann"},
        {"key": None, "user": "ann"},
        {"key": ["app"], "user": "ann"},
        {"user": "ann"},
        {},
    ],
)
def test_without_a_known_key_the_socket_is_closed(stack: Stack, auth: dict):
    with connected(stack.base_url) as socket:
        socket.send(type="auth", id=1, **auth)
        code, said = socket.goodbye()
    assert code == 4401
    assert [refusal(message) for message in said] == [(1, "unauthorized", 401)]


@pytest.mark.requirement("ws.auth-failed")
@pytest.mark.parametrize(
    "first",
    [
        {"type": "ping"},
        {"type": "chat", "query": "Hi", "user": "ann"},
        {"type": "stop", "task_id": "x"},
        {"type": "nothing"},
    ],
)
def test_nothing_is_done_before_auth(stack: Stack, first: dict):
    with connected(stack.base_url) as socket:
        socket.send(id="a", **first)
        code, said = socket.goodbye()
    assert code == 4401
    assert [refusal(message) for message in said] == [("a", "unauthorized", 401)]


@pytest.mark.requirement("ws.auth")
@pytest.mark.parametrize("wrong", [{}, {"user": None}, {"user": ""}, {"user": 5}, {"user": "a\0"}, {"user": "x" * 256}])
def test_a_user_that_can_not_be_one_may_be_said_again(stack: Stack, wrong: dict):
    with connected(stack.base_url) as socket:
        message = socket.ask(type="auth", key=stack.app_key, **wrong)
        assert refusal(message) == (None, "invalid_param", 400)
        assert "user" in message["message"]
        assert socket.ask(type="auth", key=stack.app_key, user="ann") == {"type": "ready", "app": "default"}


@pytest.mark.requirement("ws.auth")
def test_a_second_auth_is_refused_and_changes_nothing(stack: Stack, user: str, socket: Client):
    assert refusal(socket.ask(type="auth", id=1, key=stack.admin_key, user="other")) == (1, "invalid_param", 400)
    socket.chat()
    assert len(saved_of(stack.database, user)) == 1


@pytest.mark.requirement("ws.auth-failed")
def test_an_administrators_app_must_exist(stack: Stack):
    with connected(stack.base_url) as socket:
        message = socket.ask(type="auth", key=stack.admin_key, user="ann", app_id="nowhere")
        assert refusal(message) == (None, "not_found", 404)
        assert socket.ask(type="auth", key=stack.admin_key, user="ann")["type"] == "ready"


@pytest.mark.requirement("ws.auth-failed")
def test_a_key_that_is_revoked_ends_an_open_socket_at_the_next_request(hurried: Stack, user: str):
    with hurried.database.write() as session:
        key = create_key(session, kind="app", app="default")
    with entered(hurried.base_url, key, user) as socket:
        with hurried.database.write() as session:
            revoke_key(session, key)
        cached = float(HURRIED["HELICON_KEY_CACHE_SECONDS"])

        def refused() -> bool:
            socket.send(type="stop", id=1, task_id="none")
            return socket.receive()["type"] == "error"

        wait_for(refused, f"the key is refused after {cached} s")
        assert socket.goodbye() == (4401, [])


@pytest.mark.requirement("ws.auth-failed", "ws.error")
def test_an_app_that_is_disabled_refuses_until_it_is_enabled(hurried: Stack, user: str, make_app: MakeApp):
    client = make_app(hurried)
    key = client.headers["Authorization"].removeprefix("Bearer ")

    def says(what: str, socket: Client) -> bool:
        return socket.ask(type="stop", id=1, task_id="none").get("code", "ok") == what

    with entered(hurried.base_url, key, user) as socket:
        with hurried.database.write() as session:
            set_disabled(session, app_of(client), disabled=True)
        wait_for(lambda: says("forbidden", socket), "the app refuses")
        with connected(hurried.base_url) as late:
            late.send(type="auth", key=key, user=user)
            assert late.goodbye()[0] == 4401
        with hurried.database.write() as session:
            set_disabled(session, app_of(client), disabled=False)
        wait_for(lambda: says("ok", socket), "the app is there again")


@pytest.mark.requirement("ws.invalid")
@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "{", "[]", "5", "null", '"chat"', "{}", '{"type": 5}', '{"type": null}', '{"type": "nothing"}'),
        *('{"type": "CHAT"}', '{"type": "ping"} x', "[" * 5000, b"\xff", b"{}"),
        '{"type":"ping","id":"' + "x" * 255 + '"}',
    ],
)
def test_what_is_no_request_is_invalid_and_the_third_in_a_row_ends_the_socket(socket: Client, text: str | bytes):
    for _ in range(2):
        socket.send_text(text)
        assert refusal(socket.receive()) == (None, "invalid_param", 400)
    assert socket.ask(type="ping") == PONG
    for _ in range(3):
        socket.send_text(text)
    code, said = socket.goodbye()
    assert code == 1008
    assert [refusal(message) for message in said] == [(None, "invalid_param", 400)] * 3


@pytest.mark.requirement("ws.error")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": "chat"}, "query"),
        ({"type": "chat", "query": ""}, "query"),
        ({"type": "chat", "query": "\0 \n"}, "query"),
        ({"type": "chat", "query": 5}, "query"),
        ({"type": "chat", "query": ["Hi"]}, "query"),
        ({"type": "chat", "query": "Hi", "inputs": "x"}, "inputs"),
        ({"type": "chat", "query": "Hi", "conversation_id": "x"}, "conversation_id"),
        ({"type": "chat", "query": "Hi", "response_mode": "x"}, "response_mode"),
        ({"type": "chat", "query": "Hi", "user": 5}, "user"),
        ({"type": "chat", "query": "Hi", "user": "somebody else"}, "user"),
        ({"type": "communicate"}, "prompt"),
        ({"type": "communicate", "prompt": " "}, "prompt"),
        ({"type": "communicate", "prompt": {}}, "prompt"),
        ({"type": "communicate", "prompt": "Hi", "file": "an upload"}, "file"),
        ({"type": "resume"}, "task_id"),
        ({"type": "resume", "task_id": 5}, "task_id"),
        ({"type": "resume", "task_id": "x", "after": -1}, "after"),
        ({"type": "resume", "task_id": "x", "after": 2**53 + 1}, "after"),
        ({"type": "resume", "task_id": "x", "after": 1.5}, "after"),
        ({"type": "resume", "task_id": "x", "after": []}, "after"),
        ({"type": "stop"}, "task_id"),
        ({"type": "stop", "task_id": None}, "task_id"),
    ],
)
def test_a_wrong_field_is_named_and_the_socket_stays(stack: Stack, user: str, socket: Client, fields: dict, named: str):
    for _ in range(4):
        message = socket.ask(id="a", **fields)
        assert refusal(message) == ("a", "invalid_param", 400)
        assert message["message"].startswith(f"{named}: ")
    assert socket.ask(type="ping") == PONG
    assert saved_of(stack.database, user) == []


@pytest.mark.requirement("ws.error")
@pytest.mark.parametrize("kind", ["chat", "communicate", "resume"])
def test_what_has_events_needs_an_id(stack: Stack, user: str, socket: Client, kind: str):
    message = socket.ask(type=kind, query="Hi", prompt="Hi", task_id="x")
    assert refusal(message) == (None, "invalid_param", 400)
    assert message["message"].startswith("id: ")
    assert saved_of(stack.database, user) == []


@pytest.mark.requirement("ws.error")
def test_a_conversation_of_another_is_not_found(stack: Stack, user: str, socket: Client):
    conversation = socket.chat()[0]["data"]["conversation_id"]
    with entered(stack.base_url, stack.app_key, f"{user}-other") as other:
        message = other.ask(type="chat", id=1, query="Hi", conversation_id=conversation)
    assert refusal(message) == (1, "not_found", 404)


@pytest.mark.requirement("ws.large")
@pytest.mark.parametrize("pieces", [1, 64])
def test_a_message_over_a_megabyte_closes_the_socket_however_it_is_cut(socket: Client, pieces: int):
    filler = "x" * (MEGABYTE - len(json.dumps({"type": "ping", "filler": ""})))
    fits = json.dumps({"type": "ping", "filler": filler})
    assert len(fits) == MEGABYTE
    for text in (fits, fits + " "):
        length = len(text) // pieces + 1
        socket.send_text([text[at : at + length] for at in range(0, len(text), length)] if pieces > 1 else text)
        if text is fits:
            assert socket.receive() == PONG
    assert socket.goodbye() == (1009, [])


@pytest.mark.requirement("ws.large")
def test_bytes_are_counted_not_characters(socket: Client):
    socket.send_text(json.dumps({"type": "ping", "filler": "é" * (MEGABYTE // 2)}, ensure_ascii=False))
    assert socket.goodbye() == (1009, [])


@pytest.mark.requirement("ws.large", "ws.invalid")
def test_a_binary_message_is_bounded_too(stack: Stack):
    with RawSocket(stack.base_url) as socket:
        socket.say(type="auth", key=stack.app_key, user="ann")
        socket.send(BytesMessage(b"x" * MEGABYTE, message_finished=False))
        socket.send(BytesMessage(b"x"))
        assert socket.code() == CloseReason.MESSAGE_TOO_BIG


@pytest.mark.requirement("ws.frames")
def test_a_message_in_pieces_is_one_message(stack: Stack, user: str):
    with RawSocket(stack.base_url) as socket:
        socket.say(type="auth", key=stack.app_key, user=user)
        for character in '{"type": "stop", "id": "é", "task_id": ""}':
            socket.send(TextMessage(character, message_finished=character == "}"))
        texts = [next(event for event in socket.events() if isinstance(event, TextMessage)).data for _ in range(2)]
    assert [json.loads(text)["type"] for text in texts] == ["ready", "ok"]
    assert json.loads(texts[1])["id"] == "é"


@pytest.mark.requirement("ws.frames")
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x01x", 1002),  # not masked
        (b"\xf1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\x80\x81\0\0\0\0x", 1002),  # goes on with nothing
        (b"\x09\x80\0\0\0\0", 1002),  # a ping in pieces
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),  # no UTF-8
        (b"\x88\x81\0\0\0\0x", 1002),  # half a code
    ],
)
def test_what_is_no_frame_closes_the_socket(stack: Stack, sent: bytes, code: int):
    with RawSocket(stack.base_url) as socket:
        socket.send_bytes(sent)
        assert socket.code() == code


@pytest.mark.requirement("ws.frames")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Version": "12"},
        {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": "x"},
        {"Sec_WebSocket_Key": "\xe9" * 24},
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Host": None},
        {"Transfer_Encoding": "chunked"},
    ],
)
def test_a_handshake_that_is_none_is_a_bad_request(stack: Stack, headers: dict):
    sent = handshake("localhost", **headers)
    response = send_raw(stack.base_url, sent, half_close=True)
    assert response.status == 400
    assert json.loads(response.body)["code"] == "bad_request"


@pytest.mark.requirement("ws.frames")
def test_plain_http_is_told_what_is_spoken_here(client: httpx.Client):
    response = client.get("/ws")
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "WebSocket" in response.json()["message"]
    response = client.post("/ws")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.requirement("ws.frames")
def test_odd_headers_do_no_harm(stack: Stack):
    odd = {"X_Odd": "\xe9\xff", "Sec_WebSocket_Protocol": "a, b", "Sec_WebSocket_Extensions": "permessage-deflate"}
    response = send_raw(stack.base_url, handshake("localhost", **odd), half_close=True)
    assert response.status == 101
    assert {"sec-websocket-extensions", "sec-websocket-protocol"}.isdisjoint(response.headers)
