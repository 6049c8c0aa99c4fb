"""How often may be asked: with one key, by one user, over all gateways; and what is told to who asks too often."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from books import balance, ledger, saved_of
from neighbours import MakeApp, app_of, at
from servers import temporary_folder
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from shared.store.apps import edit_app
from shared.store.keys import create_key
from stack import Stack, wait_for
from talk import CHATS, ask, calls, communicate, events, post, stop, stream

WINDOW = 5
"""Seconds of the windows of the gateway `brief`."""


@pytest.fixture(scope="session")
def brief(stack: Stack) -> str:
    """A gateway with limits for whoever has none of their own, and with short windows."""
    limits = {"HELICON_RATE_PER_USER": "2", "HELICON_RATE_PER_KEY": "3", "HELICON_RATE_SECONDS": str(WINDOW)}
    return stack.start_gateway("brief", **limits)


@contextmanager
def another_key(stack: Stack, client: httpx.Client) -> Iterator[httpx.Client]:
    """A client with a further key of the same app."""
    with stack.database.write() as session:
        key = create_key(session, kind="app", app=app_of(client))
    with stack.client(key) as other:
        yield other


def refused(response: httpx.Response) -> dict[str, Any]:
    """What `/v1` says to who asks too often."""
    fields = response.json()
    assert (response.status_code, fields["status"], fields["code"]) == (429, 429, "too_many_requests")
    seconds = int(response.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert f"{seconds} s" in fields["message"]
    return fields


def help_of(client: httpx.Client, user: str, **query: str) -> httpx.Response:
    """A prompt that no model is asked for."""
    return client.post("/communicate", params={"prompt": "/help", "user_id": user, **query})


@pytest.mark.requirement("v1.apps.rate-limit", "v1.errors.rate-limit", "v1.fault.rate")
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_user_is_held_to_its_limit_and_others_are_not(user: str, make_app: MakeApp, mode: str):
    client = make_app(rate_per_user=2)
    for _ in range(2):
        assert post(client, user, response_mode=mode).status_code == 200
    assert "user: at most 2 within 60 s" in refused(post(client, user, response_mode=mode))["message"]
    assert ask(client, f"{user}-other")
    assert ask(make_app(rate_per_user=2), user), "the same name in another app is another user"


@pytest.mark.requirement("v1.apps.rate-limit", "v1.errors.rate-limit", "v1.fault.rate")
def test_a_key_is_held_to_its_limit_whoever_asks_and_other_keys_are_not(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(rate_per_key=2)
    for number in range(2):
        ask(client, f"{user}-{number}")
    assert "key: at most 2 within 60 s" in refused(post(client, f"{user}-2"))["message"]
    with another_key(stack, client) as other:
        assert ask(other, f"{user}-2")


@pytest.mark.requirement("v1.errors.rate-limit")
def test_a_limit_holds_over_all_gateways(user: str, make_app: MakeApp, tuned: str):
    client = make_app(rate_per_user=2, rate_per_key=4)
    with at(client, tuned) as elsewhere:
        ask(client, user)
        ask(elsewhere, user)
        for one in (client, elsewhere):
            refused(post(one, user))
        ask(elsewhere, f"{user}-other")
        ask(client, f"{user}-other")
        for one in (client, elsewhere):
            refused(post(one, f"{user}-third"))


@pytest.mark.requirement("v1.errors.rate-limit")
def test_a_user_who_is_refused_uses_up_nothing_of_its_key(user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1, rate_per_key=3)
    ask(client, user)
    for _ in range(5):
        refused(post(client, user))
    ask(client, f"{user}-1")
    ask(client, f"{user}-2")
    refused(post(client, f"{user}-3"))


@pytest.mark.requirement("v1.errors.rate-limit", "v1.fault.rate")
def test_what_is_refused_leaves_no_trace(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1)
    first = ask(client, user, f"{user} first")
    before = ledger(stack.database, user), balance(stack.database, user)
    refused(post(client, user, f"{user} again"))
    refused(post(client, user, f"{user} again", conversation_id=first["conversation_id"], response_mode="streaming"))
    assert (ledger(stack.database, user), balance(stack.database, user)) == before
    assert [message.query for message in saved_of(stack.database, user)] == [f"{user} first"]
    assert calls(stack, f"{user} again") == []


@pytest.mark.requirement("v1.errors.rate-limit")
def test_who_comes_back_after_retry_after_is_served(user: str, make_app: MakeApp, brief: str):
    client = make_app(brief, rate_per_user=1)
    assert help_of(client, user).status_code == 200
    response = post(client, user)
    back = time.monotonic() + int(response.headers["Retry-After"])
    assert int(response.headers["Retry-After"]) <= WINDOW
    refused(response)
    wait_for(lambda: time.monotonic() >= back, "Retry-After is over")
    assert ask(client, user)


@pytest.mark.requirement("v1.apps.rate-limit")
def test_an_app_that_decides_nothing_has_the_gateways_limits(user: str, make_app: MakeApp, brief: str):
    client = make_app(brief)
    for _ in range(2):
        assert help_of(client, user).status_code == 200
    assert "user: at most 2 within 5 s" in help_of(client, user).text
    assert help_of(client, f"{user}-other").status_code == 200
    assert "key: at most 3 within 5 s" in help_of(client, f"{user}-other").text


@pytest.mark.requirement("v1.apps.rate-limit")
def test_a_limit_of_0_is_none_whatever_the_gateway_says(user: str, make_app: MakeApp, brief: str):
    client = make_app(brief, rate_per_user=0, rate_per_key=0)
    assert {help_of(client, user).status_code for _ in range(6)} == {200}


@pytest.mark.requirement("v1.apps.rate-limit")
def test_a_limit_is_changed_while_it_holds(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1)
    ask(client, user)
    refused(post(client, user))
    with stack.database.write() as session:
        edit_app(session, app_of(client), {"rate_per_user": 50})
    wait_for(lambda: post(client, user).status_code == 200, "the gateway knows the new limit")


@pytest.mark.requirement("v1.errors.rate-limit")
def test_a_run_is_stopped_and_heard_again_however_often_was_asked(user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1, rate_per_key=1)
    task = stream(client, user)[0]["task_id"]
    refused(post(client, user))
    for _ in range(3):
        assert events(client, user, task)
        assert stop(client, user, task) == {"result": "success"}


def test_a_request_that_is_refused_for_what_it_says_does_not_count(user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1)
    for body in ({"user": user}, {"user": user, "query": " "}, {"user": user, "query": "Hi", "conversation_id": "x"}):
        assert client.post(CHATS, json=body).status_code == 400
    assert ask(client, user)


@pytest.mark.requirement("muse.communicate.rate")
def test_communicate_refuses_in_text_before_the_stream_and_keeps_nothing(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(rate_per_user=1)
    assert communicate(client, user, f"{user} first")
    for prompt in (f"{user} again", "/help"):
        response = client.post("/communicate", params={"prompt": prompt, "user_id": user})
        assert (response.status_code, response.headers["Content-Type"]) == (429, "text/plain; charset=utf-8")
        seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 60
        assert response.text == (f"Too many requests of this user: at most 1 within 60 s. Try again in {seconds} s.")
    assert [message.query for message in saved_of(stack.database, user)] == [f"{user} first"]


@pytest.mark.requirement("muse.communicate.rate")
def test_both_surfaces_count_together(user: str, make_app: MakeApp):
    client = make_app(rate_per_user=2)
    ask(client, user)
    communicate(client, user, "Hello?")
    refused(post(client, user))
    assert help_of(client, user).status_code == 429


@pytest.mark.requirement("muse.communicate.rate")
def test_an_admin_key_has_no_limit_but_the_users_that_it_asks_for_have(
    admin: httpx.Client, user: str, make_app: MakeApp
):
    name = app_of(make_app(rate_per_key=1, rate_per_user=2))
    for who in (f"{user}-1", f"{user}-1", f"{user}-2"):
        assert help_of(admin, who, app_id=name).status_code == 200
    assert "this user" in help_of(admin, f"{user}-1", app_id=name).text


def test_probes_have_no_limit(brief: str):
    assert {httpx.get(f"{brief}{path}").status_code for path in ("/healthz", "/readyz") for _ in range(5)} == {200}


@contextmanager
def gateway_whose_events_die(stack: Stack) -> Iterator[tuple[str, EmbeddedValkey]]:
    """A gateway with a Redis of its own for events, which may be killed."""
    with temporary_folder() as folder, embedded_valkey(folder) as valkey:
        url = stack.start_gateway("bereft", HELICON_EVENTS_URL=valkey.url)
        try:
            yield url, valkey
        finally:
            stack.parts.pop("bereft").stop()


@pytest.mark.requirement("v1.fault.away")
def test_while_redis_is_away_who_has_a_limit_is_told_to_come_back_and_who_has_none_is_served(
    stack: Stack, user: str, make_app: MakeApp
):
    with gateway_whose_events_die(stack) as (url, valkey):
        limited, free = make_app(url, rate_per_user=1), make_app(url)
        valkey.kill()
        response = help_of(limited, user)
        assert (response.status_code, response.text) == (503, "Redis is away. Try again in a moment.")
        assert int(response.headers["Retry-After"]) >= 1
        assert post(limited, user).json()["code"] == "service_unavailable"
        assert saved_of(stack.database, user) == []
        assert help_of(free, user).status_code == 200
        valkey.start()
        wait_for(lambda: help_of(limited, user).status_code == 200, "Redis is back")
        assert help_of(limited, user).status_code == 429
