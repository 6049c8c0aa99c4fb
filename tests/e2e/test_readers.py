"""Readers that vanish, and readers that hardly read: their runs go on, and the gateway's memory does not grow."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import orjson
import psutil
import pytest
import uuid_utils.compat as uuids

from books import balance, has_ended, saved_of, task_of
from mortal import Mortal, app, running_mortal
from raw import request
from shared.bus.connection import open_redis, send
from shared.bus.event_log import append_events, event_commands, read_events
from shared.bus.leases import take_lease
from shared.bus.names import events_channel
from shared.contracts.events import Closed, Place, Text, Usage, encode
from shared.domain.runs import RunState
from shared.store.runs.claim import claim_run
from shared.store.runs.settle import Made, RunEnd, settle_run
from stack import Stack, wait_for
from talk import CHATS, chatting, end_of, events, first_said, said, text_of

GRANT = 1_000_000
MEGABYTE = 1024 * 1024
PIECE = "0123456789abcdef" * 1024
EVENTS = 2_000
SLOW_READERS = {
    "hurried": {"HELICON_WRITE_SECONDS": "1", "HELICON_STREAM_BACKLOG": "200"},
    "patient": {"HELICON_WRITE_SECONDS": "60", "HELICON_STREAM_BACKLOG": "200"},
}
ALLOWED = 15 * MEGABYTE
"""What a reader may cost: a backlog of events, and as much again on their way to the socket."""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with running_mortal(HELICON_PING_SECONDS="1", HELICON_TOKEN_PER_USER=str(GRANT)) as mortal:
        yield mortal


@pytest.fixture
def user() -> str:
    return f"user-{uuids.uuid7()}"


def ask_and_read_nothing(client: httpx.Client, user: str) -> socket.socket:
    """A question over a connection whose receiver takes next to nothing."""
    host = urlsplit(str(client.base_url))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host.hostname, host.port))
    body = orjson.dumps({"query": user, "user": user, "response_mode": "streaming"})
    key = client.headers["Authorization"].removeprefix("Bearer ")
    connection.sendall(request("POST", CHATS, key, body, Content_Type="application/json", X_Event_Ids="1"))
    return connection


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the gateway closes."""
    connection.settimeout(30)
    return b"".join(iter(lambda: connection.recv(65536), b""))


def memory(stack: Stack, gateway: str = "gateway") -> int:
    """Bytes that only this gateway's processes hold."""
    master = psutil.Process(stack.parts[gateway].process.pid)
    return sum(process.memory_full_info().uss for process in (master, *master.children(recursive=True)))


def listeners(mortal: Mortal, run: UUID) -> int:
    """How many gateways listen to a run."""
    with closing(open_redis(mortal.valkey.url, pool_size=1)) as redis:
        return dict(redis.pubsub_numsub(events_channel(run)))[events_channel(run).encode()]


@contextmanager
def flooding(mortal: Mortal, user: str) -> Iterator[UUID]:
    """A run that the test executes in place of a worker, and that says far more than the kernel's buffers take."""
    stack = mortal.stack
    run = UUID(wait_for(lambda: task_of(stack.database, user), "the chat is queued"))
    with closing(open_redis(mortal.valkey.url, pool_size=1)) as redis:
        claimed = claim_run(stack.database, run, uuids.uuid7())
        assert claimed is not None
        take_lease(redis, run, claimed.attempt, seconds=60)
        text = encode(Text(PIECE))
        for seq in range(1, EVENTS + 1):
            send(redis, event_commands(run, Place(claimed.attempt, seq), text))
        yield run
        end = RunEnd(RunState.SUCCEEDED, Made(PIECE * EVENTS, Usage(completion_tokens=EVENTS)))
        assert settle_run(stack.database, run, claimed.attempt, end, uuids.uuid7()) == "settled"
        append_events(redis, run, claimed.attempt, read_events(redis, run), [end.event, Closed()], 600)


@pytest.mark.parametrize("gateway", ["hurried", "patient"])
def test_a_reader_that_takes_nothing_is_cut_off_and_may_come_back(mortal: Mortal, user: str, gateway: str):
    stack = mortal.stack
    url = stack.start_gateway(gateway, **SLOW_READERS[gateway])
    stack.parts["worker"].freeze()
    with app(stack, "demo", url) as client, closing(ask_and_read_nothing(client, user)) as connection:
        before = memory(stack, gateway)
        with flooding(mortal, user) as run:
            grown = memory(stack, gateway) - before
            if gateway == "hurried":
                wait_for(lambda: listeners(mortal, run) == 0, "the gateway has had enough of its reader")
            read = rest_of(connection)
        had = read.count(PIECE.encode())
        told = said(events(client, user, str(run), after=had))
    stack.parts["worker"].thaw()
    assert 0 < had < EVENTS
    assert b"message_end" not in read
    assert ("stream.reader_too_slow" in stack.parts[gateway].output) == (gateway == "patient")
    assert grown < ALLOWED < EVENTS * len(PIECE) / 2
    assert end_of(told)["event"] == "message_end"
    assert text_of(told) == PIECE * (EVENTS - had)


def test_clients_that_vanish_leave_nothing_behind_in_the_gateway(mortal: Mortal, user: str):
    stack = mortal.stack
    with app(stack, "demo-slow:20+demo-tokens:30") as client:

        def vanish(times: int) -> None:
            messages = []
            for number in range(times):
                with chatting(client, user, f"{user} {number}") as frames:
                    messages.append(first_said(frames)["message_id"])
            wait_for(lambda: all(has_ended(stack.database, message) for message in messages), "all is saved", 60)

        vanish(100)
        before = memory(stack)
        vanish(300)
        grown = memory(stack) - before
    left = balance(stack.database, user)
    assert left.left == left.ledger == GRANT - sum(message.tokens for message in saved_of(stack.database, user))
    assert grown < 5 * MEGABYTE
