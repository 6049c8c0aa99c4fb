"""Money is exact: nobody spends more than there is, and the ledger's sum is what is left."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from books import balance, ledger
from neighbours import MakeApp, app_of
from shared.store.apps import edit_app
from stack import Stack, wait_for
from talk import ask, communicate, end_of, post, stream

SPENT = (400, "provider_quota_exceeded")


@pytest.mark.requirement("muse.quota.parallel", "v1.fault.quota")
def test_a_hundred_parallel_chats_never_spend_more_than_there_is(stack: Stack, user: str, make_app: MakeApp):
    one = ask(make_app(model="demo-tokens:10"), f"{user}-measure", "Hi")["metadata"]["usage"]["total_tokens"]
    client = make_app(model="demo-tokens:10", max_tokens=10, token_per_user=10 * one)
    with ThreadPoolExecutor(100) as threads:
        responses = list(threads.map(lambda _: post(client, user, "Hi"), range(100)))
    outcomes = Counter((response.status_code, response.json().get("code")) for response in responses)
    assert set(outcomes) <= {(200, None), SPENT}
    assert outcomes[SPENT] >= 90
    paid = sum(response.json()["metadata"]["usage"]["total_tokens"] for response in responses if response.is_success)
    granted, left, total = balance(stack.database, user)
    assert (granted, left) == (10 * one, total)
    assert 0 <= left == granted - paid


@pytest.mark.requirement("v1.errors.quota", "v1.errors.early", "v1.fault.quota")
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_who_has_spent_everything_is_refused_with_the_figures(stack: Stack, user: str, make_app: MakeApp, mode: str):
    client = make_app(model="demo-tokens:500", token_per_user=40)
    usage = ask(client, user, "Hi")["metadata"]["usage"]
    assert usage["total_tokens"] == 40
    before = ledger(stack.database, user)
    response = post(client, user, "Hi", response_mode=mode)
    fields = response.json()
    assert (response.status_code, fields["code"]) == SPENT
    assert all(words in fields["message"] for words in ("40 used", "0 left", "40 granted"))
    assert ledger(stack.database, user) == before
    assert balance(stack.database, user) == (40, 0, 0)


@pytest.mark.requirement("v1.fault.quota", "v1.errors.late")
def test_a_question_that_costs_more_than_is_left_is_refused_and_costs_nothing(
    stack: Stack, user: str, make_app: MakeApp
):
    client = make_app(token_per_user=5)
    end = end_of(stream(client, user, "A question of far more than five tokens, as anybody can see."))
    assert (end["status"], end["code"]) == SPENT
    assert balance(stack.database, user) == (5, 5, 5)
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "refund"]


@pytest.mark.requirement("muse.quota.ledger", "muse.user.first-sight")
def test_every_change_of_a_balance_is_a_row_of_the_ledger(stack: Stack, client: httpx.Client, user: str):
    used = ask(client, user)["metadata"]["usage"]["total_tokens"]
    grant, reserve, settle = ledger(stack.database, user)
    assert grant == ("grant", 10_000, 0)
    assert (reserve[0], reserve[2]) == ("reserve", 0)
    assert settle == ("settle", -reserve[1] - used, used)
    assert balance(stack.database, user) == (10_000, 10_000 - used, 10_000 - used)


@pytest.mark.requirement("muse.quota.off", "v1.apps.grant")
def test_a_grant_of_0_switches_quota_off_and_usage_is_recorded_all_the_same(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(token_per_user=0)
    used = [ask(client, user)["metadata"]["usage"]["total_tokens"] for _ in range(2)]
    assert ledger(stack.database, user) == [("settle", 0, tokens) for tokens in used]
    assert balance(stack.database, user) == (0, 0, 0)


@pytest.mark.requirement("muse.quota.kept")
def test_changing_the_grant_changes_no_existing_user(user: str, hurried: Stack, make_app: MakeApp):
    client = make_app(hurried, token_per_user=1000)
    ask(client, user)
    with hurried.database.write() as session:
        edit_app(session, app_of(client), {"token_per_user": 700})
    newcomers = iter(range(1000))

    def grant_of_a_newcomer() -> bool:
        newcomer = f"{user}-{next(newcomers)}"
        ask(client, newcomer)
        return balance(hurried.database, newcomer).granted == 700

    wait_for(grant_of_a_newcomer, "the gateway knows the new grant", 5)
    ask(client, user)
    assert balance(hurried.database, user).granted == 1000


@pytest.mark.requirement("muse.communicate.quota")
def test_the_muse_surface_tells_in_an_event_what_was_used_is_left_and_was_granted(tuned: str, make_app: MakeApp):
    client = make_app(tuned, token_per_user=600, model="demo-tokens:700", max_tokens=700)
    assert ask(client, "ann")["metadata"]["usage"]["total_tokens"] == 600
    (end,) = communicate(client, "ann", "Hi")
    assert end == {
        "event": "error",
        "task_id": "",
        "message_id": "",
        "conversation_id": "",
        "created_at": end["created_at"],
        "status": 400,
        "code": "provider_quota_exceeded",
        "message": end["message"],
    }
    assert all(words in end["message"] for words in ("600 used", "0 left", "600 granted"))


@pytest.mark.requirement("muse.communicate.quota")
def test_the_muse_surface_tells_the_same_figures_where_something_is_left_but_not_enough(tuned: str, make_app: MakeApp):
    client = make_app(tuned, token_per_user=600, model="demo-tokens:550", max_tokens=550)
    used = ask(client, "ann")["metadata"]["usage"]["total_tokens"]
    end = end_of(communicate(client, "ann", "amber " * 100))
    assert (end["status"], end["code"]) == SPENT
    assert all(words in end["message"] for words in (f"{used} used", f"{600 - used} left", "600 granted"))
