"""How a WebSocket begins and ends: origins, times, shutdown, faults, and clients that read nothing."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from sqlalchemy import text
from wsproto.events import TextMessage

from books import saved_of
from neighbours import MakeApp, Servers, neighbour
from raw import send_raw
from shared.config import GatewaySettings
from shared.store.keys import create_key
from socketing import RawSocket, connected, entered, frames, handshake
from stack import Stack, wait_for
from talk import end_of, text_of

HASTY = {
    "HELICON_ORIGINS": "https://shop.example, http://localhost:3000",
    "HELICON_WS_AUTH_SECONDS": "2",
    "HELICON_WS_IDLE_SECONDS": "1",
    "HELICON_WS_PING_SECONDS": "0.5",
    "HELICON_WRITE_SECONDS": "2",
}


@pytest.fixture(scope="module")
def hasty(stack: Stack) -> str:
    """A gateway that waits for nothing long."""
    return stack.start_gateway("hasty", **HASTY)


def key_of(client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


def status_for(base_url: str, origin: str | None, host: str = "api.example:8080") -> tuple[int, str]:
    """The handshake's status for a page of that origin, and the code of a refusal."""
    response = send_raw(base_url, handshake(host, Origin=origin), half_close=True)
    return response.status, json.loads(response.body)["code"] if response.status != 101 else ""


@pytest.mark.requirement("ws.origin")
@pytest.mark.parametrize("origin", [None, "http://api.example:8080", "https://API.example:8080"])
def test_programs_and_pages_of_the_same_host_may_come_in(stack: Stack, origin: str | None):
    assert status_for(stack.base_url, origin) == (101, "")


@pytest.mark.requirement("ws.origin")
@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "https://shop.example", "http://api.example", "http://api.example:8081"),
        *("http://api.example:8080.evil.example", "http://api.example:8080/", "api.example:8080"),
        *("ftp://api.example:8080", "file://", "null", ""),
    ],
)
def test_foreign_pages_may_not(stack: Stack, origin: str):
    assert status_for(stack.base_url, origin) == (403, "forbidden")


@pytest.mark.requirement("ws.origin")
def test_pages_that_the_setting_names_may_come_in_and_no_others(hasty: str):
    for origin in ("https://shop.example", "https://SHOP.example", "http://localhost:3000", "http://api.example:8080"):
        assert status_for(hasty, origin) == (101, "")
    for origin in ("http://shop.example", "https://shop.example:444", "https://a.shop.example", "http://localhost"):
        assert status_for(hasty, origin) == (403, "forbidden")


@pytest.mark.requirement("ws.auth", "ws.heartbeat", "ws.idle")
def test_the_times_are_those_of_the_contract():
    settings = GatewaySettings()
    times = settings.ws_auth_seconds, settings.ws_ping_seconds, settings.ws_idle_seconds
    assert times == (10, 20, 600)


@pytest.mark.requirement("ws.auth")
@pytest.mark.parametrize("what", ["silence", "half a message"])
def test_who_says_nothing_in_time_is_not_let_in(hasty: str, what: str):
    began = time.monotonic()
    with RawSocket(hasty) as socket:
        if what != "silence":
            socket.send(TextMessage('{"type":', message_finished=False))
        texts: list[str] = []
        code = socket.code(texts)
    assert time.monotonic() - began >= 2
    assert code == 4401
    assert [json.loads(text)["code"] for text in texts] == ["unauthorized"]


@pytest.mark.requirement("ws.heartbeat")
def test_the_server_pings(hasty: str, user: str, make_app: MakeApp):
    with RawSocket(hasty) as socket:
        socket.say(type="auth", key=key_of(make_app(model="demo-slow-first:8")), user=user)
        socket.say(type="chat", id=1, query=user)
        times = []
        for _ in range(2):
            socket.next_ping()
            times.append(time.monotonic())
    assert all(later - earlier >= 0.4 for earlier, later in pairwise(times))


@pytest.mark.requirement("ws.heartbeat")
def test_a_client_that_answers_no_ping_is_gone(stack: Stack, hasty: str, user: str, make_app: MakeApp):
    key = key_of(make_app(model="demo-slow-first:8"))
    with RawSocket(hasty) as socket:
        socket.say(type="auth", key=key, user=user)
        socket.say(type="chat", id=1, query=user)
        assert socket.code() == 1008


@pytest.mark.requirement("ws.heartbeat", "ws.idle")
def test_a_quiet_run_keeps_the_socket_open(hasty: str, user: str, make_app: MakeApp):
    with entered(hasty, key_of(make_app(model="demo-slow-first:4")), user) as socket:
        assert end_of(frames(socket.chat(1, user)))["event"] == "message_end"
        assert socket.goodbye() == (4408, [])


@pytest.mark.requirement("ws.idle")
def test_a_socket_that_nobody_uses_is_closed(stack: Stack, hasty: str, user: str):
    began = time.monotonic()
    with entered(hasty, stack.app_key, user) as socket:
        while time.monotonic() - began < 2:
            assert socket.ask(type="ping") == {"type": "pong"}
        quiet = time.monotonic()
        assert socket.goodbye() == (4408, [])
    assert time.monotonic() - quiet >= 0.5


@pytest.mark.requirement("ws.shutdown")
def test_a_gateway_that_leaves_closes_quiet_sockets_at_once_and_others_after_their_runs(
    stack: Stack, user: str, make_app: MakeApp
):
    url = stack.start_gateway("leaving", HELICON_DRAIN_SECONDS="20")
    key = key_of(make_app(model="demo-slow:50+tokens:60"))
    with entered(url, key, user) as quiet, entered(url, key, user) as busy, connected(url) as stranger:
        busy.send(type="chat", id=1, query=user)
        first = busy.next_of(1)
        stack.parts["leaving"].process.terminate()
        assert quiet.goodbye() == (1001, [])
        assert stranger.goodbye() == (1001, [])
        busy.send(type="chat", id=2, query="another")
        refused = busy.next_of(2)
        assert (refused["code"], refused["status"]) == ("service_unavailable", 503)
        told = frames([first, *busy.events(1)])
        assert busy.goodbye() == (1001, [])
    assert len(text_of(told).split()) == 60
    assert stack.parts["leaving"].process.wait(15) == 0


@pytest.mark.requirement("ws.shutdown", "ws.resume")
def test_a_run_that_outlives_its_gateway_is_heard_to_its_end_at_another(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("brief-drain", HELICON_DRAIN_SECONDS="2")
    client = make_app(model="demo-slow:50+tokens:120")
    with entered(url, key_of(client), user) as socket:
        socket.send(type="chat", id=1, query=user)
        heard = [socket.next_of(1)]
        stack.parts["brief-drain"].process.terminate()
        code, rest = socket.goodbye()
        heard += rest
    assert code == 1001
    assert stack.parts["brief-drain"].process.wait(15) == 0
    with entered(stack.base_url, key_of(client), user) as socket:
        socket.send(type="resume", id=1, task_id=heard[0]["data"]["task_id"], after=heard[-1]["seq"])
        heard += socket.events(1)
    assert [event["seq"] for event in heard] == list(range(1, len(heard) + 1))
    assert len(text_of(frames(heard)).split()) == 120


@pytest.fixture(scope="module")
def broken(stack: Stack, servers: Servers) -> Iterator[Stack]:
    """A gateway whose database is not what it expects."""
    with neighbour(stack, servers, "broken", 5, HELICON_KEY_CACHE_SECONDS="0.1") as other:
        yield other


def rename(stack: Stack, old: str, new: str) -> None:
    with stack.database.write() as session:
        session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


@pytest.mark.requirement("ws.error", "ws.shutdown")
def test_our_own_fault_in_a_request_is_its_error_and_elsewhere_closes_the_socket(broken: Stack, user: str):
    with broken.database.write() as session:
        key = create_key(session, kind="app", app="default")
    with entered(broken.base_url, key, user) as socket:
        rename(broken, "runs", "mislaid")
        message = socket.ask(type="resume", id=1, task_id="01890a5d-ac96-774b-bcce-b302099a8057")
        rename(broken, "mislaid", "runs")
        assert (message["id"], message["code"], message["status"]) == (1, "internal_server_error", 500)
        assert "mislaid" not in message["message"]
        assert socket.ask(type="ping") == {"type": "pong"}
    rename(broken, "api_keys", "mislaid")
    with connected(broken.base_url) as socket:
        socket.send(type="auth", key="app-unknown", user=user)
        assert socket.goodbye() == (1011, [])
    rename(broken, "mislaid", "api_keys")


def fill(socket: RawSocket, task: str, times: int) -> None:
    for number in range(times):
        socket.say(type="resume", id=number, task_id=task)


@pytest.mark.requirement("ws.close")
def test_a_client_that_reads_nothing_is_cut_off_and_harms_no_other(
    stack: Stack, hasty: str, user: str, make_app: MakeApp
):
    client = make_app(token_per_user=0, model="demo-tokens:5000", max_tokens=5000)
    with entered(stack.base_url, key_of(client), user) as socket:
        told = frames(socket.chat(1))
        assert len(text_of(told)) > 20_000
    with RawSocket(hasty, receive_buffer=4096) as slow:
        slow.say(type="auth", key=key_of(client), user=user)
        fill(slow, told[0]["task_id"], 900)
        with entered(hasty, key_of(client), f"{user}-other") as other:
            assert end_of(frames(other.chat()))["event"] == "message_end"
        wait_for(lambda: "socket.cut_off" in stack.parts["hasty"].output, "the client is cut off")
        assert slow.code() is None


@pytest.mark.requirement("ws.close")
def test_a_client_that_reads_more_slowly_than_its_run_speaks_is_told_so(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("narrow", HELICON_STREAM_BACKLOG="10")
    client = make_app(token_per_user=0, model="demo-slow:3+demo-tokens:600")
    with entered(url, key_of(client), user) as socket:
        task = socket.chat(1)[0]["data"]["task_id"]
    with RawSocket(url, receive_buffer=4096) as slow:
        slow.say(type="auth", key=key_of(client), user=user)
        fill(slow, task, 900)
        for number in range(3):
            slow.say(type="chat", id=f"chat {number}", query=user)
        states = ["succeeded"] * 4
        wait_for(lambda: [run.state for run in saved_of(stack.database, user)] == states, "the runs end all the same")
        assert slow.code() == 1008
    assert "stream.reader_too_slow" in stack.parts["narrow"].output
