"""Users as administrators see and change them: tokens, lists, and the models that their chats run on."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from books import Audited, Balance, audit, balance, ledger
from neighbours import TUNED, MakeApp, app_of
from stack import Stack
from talk import ask, calls, communicate

CLOSED = {
    "HELICON_TYPE": "openai",
    "HELICON_OPENAI_TOKEN": "sk-never-used",
    "HELICON_DEEPSEEK_TOKEN": "sk-never-used",
    "DEMO_BASE_URL": "",
}
"""Settings of a gateway whose providers take no other models than those of the catalogue."""


def add(admin: httpx.Client, user: str, token: object, **query: str) -> httpx.Response:
    return admin.post("/user/token/add", json={"user_id": user, "token": token}, params=query)


def choose(admin: httpx.Client, user: str, mode: str, **query: str) -> httpx.Response:
    return admin.post("/user/update/mode", data={"user_id": user, "mode": mode}, params=query)


def users(admin: httpx.Client, **query: object) -> dict[str, Any]:
    response = admin.get("/user/list", params=query)
    assert response.status_code == 200, response.text
    assert {name: value for name, value in response.json().items() if name != "data"} == {"code": 0, "msg": "success"}
    return response.json()["data"]


def only(admin: httpx.Client, user: str, **query: object) -> dict[str, Any]:
    """The user of that name, which is the only one."""
    data = users(admin, user_id=user, **query)
    assert data["total"] == 1
    (item,) = data["list"]
    return item


DONE = {"code": 0, "msg": "success", "data": None}


@pytest.mark.requirement("muse.token-add", "muse.envelope", "muse.envelope.data")
def test_tokens_are_granted_to_a_user_and_audited(stack: Stack, admin: httpx.Client, client: httpx.Client, user: str):
    ask(client, user)
    before = balance(stack.database, user)
    response = add(admin, user, 500)
    assert (response.status_code, response.json()) == (200, DONE)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    after = Balance(before.granted + 500, before.left + 500, before.ledger + 500)
    assert balance(stack.database, user) == after
    assert ledger(stack.database, user)[-1] == ("grant", 500, 0)
    old = {"token": before.granted, "avail_token": before.left}
    new = {"token": after.granted, "avail_token": after.left}
    assert audit(stack.database, f"default/{user}") == [Audited(stack.admin_key[:12], "user.token.add", old, new)]


@pytest.mark.requirement("muse.token-add.new", "muse.strings")
def test_a_new_user_has_the_default_grant_first(stack: Stack, admin: httpx.Client, user: str):
    assert add(admin, user, "500").json() == DONE
    assert balance(stack.database, user) == Balance(10_500, 10_500, 10_500)
    assert ledger(stack.database, user) == [("grant", 10_000, 0), ("grant", 500, 0)]


@pytest.mark.requirement("muse.token-add.negative")
def test_tokens_are_taken_back_as_far_as_there_are_any(stack: Stack, admin: httpx.Client, user: str):
    assert add(admin, user, -4000).json() == DONE
    assert balance(stack.database, user) == Balance(6000, 6000, 6000)
    books = ledger(stack.database, user), audit(stack.database, f"default/{user}")
    response = add(admin, user, -6001)
    assert (response.status_code, response.json()["code"]) == (400, 210009)
    assert response.json()["msg"] == f"param error: token: {user} has 6000 tokens left, 6001 can't be taken back"
    assert (ledger(stack.database, user), audit(stack.database, f"default/{user}")) == books
    assert balance(stack.database, user) == Balance(6000, 6000, 6000)
    assert add(admin, user, -6000).json() == DONE
    assert balance(stack.database, user) == Balance(0, 0, 0)


@pytest.mark.requirement("muse.token-add.negative")
def test_a_user_that_would_be_made_by_what_is_refused_is_not(admin: httpx.Client, user: str):
    assert add(admin, user, -10_001).status_code == 400
    assert users(admin, user_id=user) == {"list": [], "total": 0}


@pytest.mark.requirement("muse.token-add")
def test_a_user_never_has_more_tokens_than_can_be_counted(stack: Stack, admin: httpx.Client, make_app: MakeApp):
    name = app_of(make_app())
    codes = [add(admin, "rich", 10**15, app_id=name).json()["code"] for _ in range(1001)]
    assert (codes[:999], codes[999:]) == ([0] * 999, [210009] * 2)
    assert only(admin, "rich", app_id=name)["avail_token"] == 999 * 10**15 + 10_000


@pytest.mark.requirement("muse.user-list", "muse.ids", "muse.times", "muse.user.mode", "muse.lists")
def test_a_user_is_listed_with_exactly_its_fields(stack: Stack, admin: httpx.Client, client: httpx.Client, user: str):
    ask(client, user)
    granted, left, _ = balance(stack.database, user)
    item = only(admin, user)
    assert list(item) == ["id", "user_id", "mode", "token", "updatetime", "avail_token"]
    expected = {"user_id": user, "mode": "demo", "token": granted, "avail_token": left}
    assert {name: item[name] for name in expected} == expected
    assert 0 < item["id"] < 2**63
    assert 1.7e9 < item["updatetime"] < 2**40
    assert isinstance(item["updatetime"], int)


@pytest.fixture
def crowd(admin: httpx.Client, make_app: MakeApp) -> str:
    """An app with 120 users."""
    name = app_of(make_app())
    for number in range(120):
        assert add(admin, f"user-{number}", 1, app_id=name).status_code == 200
    return name


PAGES = [
    ({}, 0, 10),
    ({"page": "1"}, 0, 10),
    ({"page": "2"}, 10, 10),
    ({"page": "0"}, 0, 10),
    ({"page": "-3"}, 0, 10),
    ({"page": "", "page_size": ""}, 0, 10),
    ({"page_size": "7", "page": "2"}, 7, 7),
    ({"pageSize": "7", "page": "2"}, 7, 7),
    ({"page_size": "0"}, 0, 10),
    ({"pageSize": "-1"}, 0, 10),
    ({"page_size": "100"}, 0, 100),
    ({"page_size": "101"}, 0, 100),
    ({"pageSize": "9" * 30, "page": "2"}, 100, 100),
    ({"page": "12"}, 110, 10),
    ({"page": "13"}, 120, 10),
    ({"page": "9" * 30}, 10**10, 10),
]


@pytest.mark.requirement("muse.pages", "muse.lists", "muse.user-list", "muse.strings")
def test_pages_have_their_defaults_and_bounds_and_the_newest_first(admin: httpx.Client, crowd: str):
    for query, skip, take in PAGES:
        data = users(admin, app_id=crowd, **query)
        names = [f"user-{119 - place}" for place in range(skip, min(skip + take, 120))]
        assert ([item["user_id"] for item in data["list"]], data["total"]) == (names, 120), query


@pytest.mark.requirement("muse.lists", "muse.user-list")
def test_a_list_of_nobody_is_empty(admin: httpx.Client, make_app: MakeApp, user: str):
    empty = {"list": [], "total": 0}
    assert users(admin, app_id=app_of(make_app())) == empty
    assert users(admin, user_id=user) == empty
    assert users(admin, user_id="%") == empty


@pytest.mark.requirement("muse.update-mode", "muse.user.mode", "muse.envelope.data")
@pytest.mark.parametrize("place", ["data", "params", "files"])
def test_a_mode_is_chosen_by_form_or_query_for_a_user_that_may_be_new(
    stack: Stack, admin: httpx.Client, user: str, place: str
):
    fields: dict[str, Any] = {"user_id": user, "mode": "demo-tokens:100"}
    if place == "files":
        fields = {name: (None, value) for name, value in fields.items()}
    response = admin.post("/user/update/mode", **{place: fields})
    assert (response.status_code, response.json()) == (200, DONE)
    assert only(admin, user)["mode"] == "demo-tokens:100"
    assert balance(stack.database, user) == Balance(10_000, 10_000, 10_000)
    changes = [Audited(stack.admin_key[:12], "user.update.mode", "", "demo-tokens:100")]
    assert audit(stack.database, f"default/{user}") == changes


@pytest.mark.requirement("muse.update-mode")
def test_the_chats_of_a_user_run_on_its_mode_on_this_surface_alone(
    stack: Stack, admin: httpx.Client, client: httpx.Client, user: str
):
    communicate(client, user, f"{user} before")
    assert choose(admin, user, "demo-tokens:100").json() == DONE
    communicate(client, user, f"{user} after")
    communicate(client, f"{user}-other", f"{user} other")
    ask(client, user, f"{user} v1")
    models = {words: model_of(stack, f"{user} {words}") for words in ("before", "after", "other", "v1")}
    assert models == {"before": "demo", "after": "demo-tokens:100", "other": "demo", "v1": "demo"}


def model_of(stack: Stack, question: str) -> str:
    (call,) = calls(stack, question)
    return call["body"]["model"]


@pytest.mark.requirement("muse.user.mode")
def test_where_nothing_was_chosen_the_mode_is_the_default_model(
    stack: Stack, admin: httpx.Client, user: str, tuned: str
):
    assert add(admin, user, 1).json() == DONE
    with httpx.Client(base_url=tuned, headers=admin.headers) as other:
        assert only(other, user)["mode"] == TUNED["HELICON_DEFAULT_MODEL"]
    assert only(admin, user)["mode"] == "demo"


@pytest.fixture(scope="module")
def closed(stack: Stack) -> Iterator[httpx.Client]:
    """An administrator at a gateway that knows all models that are offered."""
    url = stack.start_gateway("closed", **CLOSED)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {stack.admin_key}"}, timeout=60) as admin:
        yield admin
    stack.parts.pop("closed").stop()


@pytest.mark.requirement("muse.update-mode.unknown")
@pytest.mark.parametrize("mode", ["gpt-nothing", "claude-sonnet-4-5", "demo", "GPT-4o", " gpt-4o", "gpt-4o,gpt-5"])
def test_a_model_that_is_not_offered_is_refused_with_those_that_are(
    stack: Stack, closed: httpx.Client, user: str, mode: str
):
    response = choose(closed, user, mode)
    assert (response.status_code, response.json()["code"]) == (400, 210009)
    assert response.json()["msg"] == (
        f"param error: mode: {mode!r} is not offered; these are: gpt-4o-mini, gpt-4o, gpt-4.1, gpt-4.1-mini, gpt-5, "
        "gpt-5-mini, o4-mini, deepseek-chat, deepseek-reasoner."
    )
    assert users(closed, user_id=user) == {"list": [], "total": 0}
    assert audit(stack.database, f"default/{user}") == []


@pytest.mark.requirement("muse.update-mode", "muse.user.mode")
def test_models_of_every_provider_with_a_key_are_offered_and_a_mode_that_is_no_more_stands_for_the_default(
    stack: Stack, admin: httpx.Client, client: httpx.Client, closed: httpx.Client, user: str
):
    for mode in ("gpt-5", "deepseek-reasoner"):
        assert choose(closed, user, mode).json() == DONE
        assert only(closed, user)["mode"] == mode
    assert choose(admin, user, "demo-tokens:100").json() == DONE
    assert only(closed, user)["mode"] == "gpt-4o-mini"
    assert only(admin, user)["mode"] == "demo-tokens:100"
