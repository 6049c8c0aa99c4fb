"""How many chats of a user may be open at once: counted over all gateways, and given back whatever becomes of them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from books import balance, saved_of
from neighbours import MakeApp, Servers, at, neighbour
from stack import Stack
from talk import calls, communicate, first_said, listening, stop

TOO_MANY = (429, "too_many_chats")


@pytest.fixture(scope="module")
def slow(stack: Stack, servers: Servers) -> Iterator[Stack]:
    """A gateway and a worker whose model takes its time."""
    settings = {"HELICON_DEFAULT_MODEL": "demo-slow:50+tokens:40", "HELICON_LEASE_SECONDS": "1"}
    with neighbour(stack, servers, "slow", 9, **settings) as other:
        other.start_worker("slow-worker")
        yield other


@pytest.fixture(scope="module")
def second(slow: Stack) -> str:
    """Another gateway of the same."""
    return slow.start_gateway("slow-second")


def open_chat(clients: ExitStack, client: httpx.Client, user: str, prompt: str = "Hello?") -> Iterator:
    """A chat that has begun to be answered: the rest of its frames."""
    asked = {"prompt": prompt, "user_id": user}
    frames = clients.enter_context(listening(client, "POST", "/communicate", params=asked))
    first_said(frames)
    return frames


def outcome(client: httpx.Client, user: str, prompt: str) -> tuple[int, str] | str:
    end = communicate(client, user, prompt)[-1]
    return end["event"] if end["event"] == "message_end" else (end["status"], end["code"])


@pytest.mark.requirement("muse.communicate.parallel")
def test_the_third_chat_is_refused_at_every_gateway_with_the_figures_and_what_costs_nothing_is_not(
    slow: Stack, second: str, user: str, make_app: MakeApp
):
    first = make_app(slow)
    with at(first, second) as other, ExitStack() as open_chats:
        readers = [open_chat(open_chats, client, user) for client in (first, other)]
        for client in (first, other):
            for prompt in ("A third?", "/chat A third?", "/retry"):
                (end,) = communicate(client, user, prompt)
                assert (end["event"], end["status"], end["code"]) == ("error", *TOO_MANY)
                assert all(words in end["message"] for words in ("used", "left", "10000 granted"))
            for prompt in ("/help", "/state", "/balance", "/mode"):
                assert outcome(client, user, prompt) == "message_end"
            assert outcome(client, f"{user}-other", "/chat") == "message_end"
        ends = [[frame.data for frame in frames if frame.data][-1] for frames in readers]
        assert [end["event"] for end in ends] == ["message_end"] * 2
        assert outcome(first, user, "/retry") == "message_end"
    questions = Counter(message.query for message in saved_of(slow.database, user))
    assert questions["Hello?"] == 3
    assert "A third?" not in questions


@pytest.mark.requirement("muse.communicate.parallel")
def test_of_fifty_at_once_never_more_than_two_are_open(
    stack: Stack, slow: Stack, second: str, user: str, make_app: MakeApp
):
    first = make_app(slow)
    prompt = f"Who am I, {user}?"
    with at(first, second) as other, ThreadPoolExecutor(50) as threads:
        clients = [first, other] * 25
        outcomes = Counter(threads.map(lambda client: outcome(client, user, prompt), clients))
    assert set(outcomes) == {"message_end", TOO_MANY}
    asked = calls(stack, prompt)
    assert len(asked) == outcomes["message_end"] >= 2
    moments = sorted([(call["time"], 1) for call in asked] + [(call["closed_at"], -1) for call in asked])
    at_once = [sum(change for _, change in moments[: number + 1]) for number in range(len(moments))]
    assert max(at_once) == 2
    granted, left, total = balance(slow.database, user)
    assert left == total < granted


@pytest.mark.requirement("muse.communicate.parallel")
def test_a_chat_that_is_stopped_gives_its_place_back(slow: Stack, user: str, make_app: MakeApp):
    client = make_app(slow)
    with ExitStack() as open_chats:
        open_chat(open_chats, client, user)
        asked = {"prompt": "Hello?", "user_id": user}
        frames = open_chats.enter_context(listening(client, "POST", "/communicate", params=asked))
        task = first_said(frames)["task_id"]
        assert outcome(client, user, "A third?") == TOO_MANY
        stop(client, user, task)
        assert [frame.data["event"] for frame in frames if frame.data][-1] == "message_end"
        assert outcome(client, user, "A third?") == "message_end"


@pytest.mark.requirement("muse.communicate.parallel")
def test_both_places_come_back_when_the_worker_is_killed(stack: Stack, servers: Servers, user: str, make_app: MakeApp):
    settings = {"HELICON_DEFAULT_MODEL": "demo-slow:200+tokens:500", "HELICON_LEASE_SECONDS": "1"}
    with neighbour(stack, servers, "killed", 10, **settings) as other:
        worker = other.start_worker("killed-worker")
        client = make_app(other)
        with ExitStack() as open_chats:
            readers = [open_chat(open_chats, client, user) for _ in range(2)]
            assert outcome(client, user, "A third?") == TOO_MANY
            worker.kill()
            assert outcome(client, user, "A third?") == TOO_MANY
            other.start_worker("next-worker")
            ends = [[frame.data for frame in frames if frame.data][-1] for frames in readers]
            assert [(end["event"], end["status"]) for end in ends] == [("error", 500)] * 2
        with ExitStack() as open_chats:
            for _ in range(2):
                open_chat(open_chats, client, user)
            assert outcome(client, user, "A third?") == TOO_MANY


@pytest.mark.requirement("muse.communicate.parallel")
def test_an_administrator_has_as_many_as_they_like(slow: Stack, user: str, make_app: MakeApp):
    url = slow.start_gateway("free", HELICON_ADMIN_USER_IDS=user)
    with at(make_app(slow), url) as client, ThreadPoolExecutor(5) as threads:
        outcomes = list(threads.map(lambda _: outcome(client, user, "Hello?"), range(5)))
    assert outcomes == ["message_end"] * 5
