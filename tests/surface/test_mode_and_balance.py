"""`/mode` and `/balance`: which model answers, and what is left."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from sqlalchemy import select

from books import balance, ledger, records_of, saved_of
from neighbours import TOLD, MakeApp, Servers, neighbour
from shared.bus.connection import open_redis
from shared.bus.told_models import read_told_models
from shared.store.keys import create_key
from shared.store.models import User
from stack import Stack, wait_for
from talk import answer, calls, communicate, end_of, first_said, listening, script, stop, text_of


def mode_of(stack: Stack, user: str) -> str:
    with stack.database.read() as session:
        return session.scalars(select(User.mode).where(User.user_id == user)).one()


# /mode


@pytest.mark.requirement("muse.command.mode")
def test_mode_lists_what_the_provider_tells_a_line_each_the_current_one_marked(told: httpx.Client, user: str):
    assert answer(told, user, "/mode").split("\n") == ["* demo", "demo-slow:20", "demo-tokens:100"]
    answer(told, user, "/mode demo-slow:20")
    assert answer(told, user, " /MODE  ").split("\n") == ["demo", "* demo-slow:20", "demo-tokens:100"]


@pytest.mark.requirement("muse.command.mode-set", "muse.user.mode", "muse.wins.model-user")
@pytest.mark.parametrize("name", ["demo-tokens:100", "  demo-tokens:100 ", "DEMO-Tokens:100", "\ndemo-tokens:100"])
def test_mode_sets_the_model_of_the_users_chats(stack: Stack, told: httpx.Client, user: str, name: str):
    assert answer(told, user, f"/mode {name}") == "You choose: demo-tokens:100"
    assert mode_of(stack, user) == "demo-tokens:100"
    answer(told, user, f"What model are you, {user}?")
    (call,) = calls(stack, f"What model are you, {user}?")
    assert call["model"] == "demo-tokens:100"
    answer(told, f"{user}-other", f"And you, {user}?")
    (call,) = calls(stack, f"And you, {user}?")
    assert call["model"] == "demo"


@pytest.mark.requirement("muse.command.mode-set")
def test_you_choose_is_said_in_the_language_of_the_settings(speaking: httpx.Client, user: str, lang: str):
    said = {"en": "You choose: demo", "zh": "您选择了：demo", "ru": "Вы выбрали: demo"}  # noqa: RUF001
    assert answer(speaking, user, "/mode demo") == said[lang]


@pytest.mark.requirement("muse.command.mode-set")
@pytest.mark.parametrize(
    "name", ["gpt-9", "demo demo-slow:20", "demo-tokens:99", "x" * 5000, "{0}", "%s", "', ''); --"]
)
def test_a_model_that_is_not_offered_is_told_with_the_list_and_nothing_changes(
    stack: Stack, told: httpx.Client, user: str, name: str
):
    answer(told, user, "/mode demo-slow:20")
    hint, *listed = answer(told, user, f"/mode {name}").split("\n")
    shown_name = name if len(name) < 100 else name[:100] + "…"
    assert hint == f"The model {shown_name} is not offered. These are:"
    assert listed == ["demo", "* demo-slow:20", "demo-tokens:100"]
    assert mode_of(stack, user) == "demo-slow:20"


@pytest.mark.requirement("muse.command.mode-set")
def test_an_unknown_model_is_told_in_the_language_of_the_settings(
    told: httpx.Client, speaking: httpx.Client, user: str, lang: str
):
    hints = {
        "en": "The model nix is not offered. These are:",
        "zh": "没有模型 nix。可用的模型：",  # noqa: RUF001
        "ru": "Модели nix нет. Доступны:",
    }
    assert answer(speaking, user, "/mode nix").split("\n")[0] == hints[lang]


@pytest.mark.requirement("muse.command.mode")
def test_a_provider_that_never_told_offers_what_the_catalogue_knows(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("gemini", HELICON_TYPE="gemini", GEMINI_API_KEY="never-used")
    listed = answer(make_app(url), user, "/mode").split("\n")
    assert listed[:2] == ["* gemini-2.5-flash", "gemini-2.5-pro"]


@pytest.mark.requirement("muse.command.mode")
def test_models_of_a_provider_are_asked_for_again_when_its_key_changes(stack: Stack, servers: Servers, user: str):
    with neighbour(stack, servers, "keys", 5, HELICON_TYPE="openai", OPENAI_BASE_URL=f"{stack.demo_url}/v1") as other:
        other.start_worker("keys-worker")
        redis = open_redis(other.environ["HELICON_REDIS_URL"], pool_size=1)
        with other.database.write() as session:
            admin_key = create_key(session, kind="admin", app=None)
        with other.client(admin_key) as admin, closing(redis):

            def set_key(key: str) -> None:
                change = {"type": "base", "key": "openai_token", "value": key}
                assert admin.post("/conf/update", json=change).json()["code"] == 0

            set_key("a-good-key-of-openai")
            wait_for(lambda: read_told_models(redis, "openai") == TOLD, "it is asked")
            set_key("wrong")
            wait_for(lambda: read_told_models(redis, "openai") is None, "what another key was told is forgotten")
            set_key("another-good-key-of-openai")
            wait_for(lambda: read_told_models(redis, "openai") == TOLD, "it is asked again")


# /balance


@pytest.mark.requirement("muse.command.balance")
def test_balance_tells_what_is_left_granted_and_used(speaking: httpx.Client, stack: Stack, user: str, lang: str):
    lines = {
        "en": "Tokens: {left} left, 10000 granted, {used} used.",
        "zh": "令牌：剩余 {left}，获得 10000，已用 {used}。",  # noqa: RUF001
        "ru": "Токены: осталось {left}, выдано 10000, израсходовано {used}.",
    }
    assert answer(speaking, user, "/balance") == lines[lang].format(left=10_000, used=0)
    answer(speaking, user, "Hello?")
    left = balance(stack.database, user).left
    assert 0 < left < 10_000
    assert answer(speaking, user, " /Balance please ") == lines[lang].format(left=left, used=10_000 - left)
    assert balance(stack.database, user).left == left


@pytest.mark.requirement("muse.command.balance")
def test_balance_says_that_quota_is_off(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(stack.start_gateway("generous", HELICON_TOKEN_PER_USER="0"))
    assert answer(client, user, "/balance") == "Tokens are not limited here: 0 used."
    used = end_of(communicate(client, user, "Hello?"))["metadata"]["usage"]["total_tokens"]
    assert answer(client, user, "/balance") == f"Tokens are not limited here: {used} used."


@pytest.mark.requirement("muse.command.balance")
def test_balance_says_that_an_administrators_tokens_are_not_limited(tuned: str, make_app: MakeApp):
    assert answer(make_app(tuned), "root", "/balance") == "Токены здесь не ограничены: израсходовано 0."


PROVIDERS = {"deepseek": "110.00 CNY", "openrouter": "74.75 USD"}


@pytest.fixture(scope="module", params=PROVIDERS)
def banked(request: pytest.FixtureRequest, stack: Stack, servers: Servers) -> Iterator[Stack]:
    """A Helicon whose provider tells its balance: the demo upstream plays it."""
    name = request.param
    number = 6 + list(PROVIDERS).index(name)
    provider = {f"{name.upper()}_BASE_URL": f"{stack.demo_url}/v1", f"{name.upper()}_API_KEY": "sk-of-somebody-rich"}
    with neighbour(stack, servers, name, number, HELICON_TYPE=name, **provider) as other:
        other.start_worker(f"{name}-worker")
        yield other


def bank(other: Stack) -> tuple[str, str]:
    """The provider of a `banked`, and the path on which it is asked."""
    name = other.environ["HELICON_TYPE"]
    return name, {"deepseek": "/user/balance", "openrouter": "/v1/credits"}[name]


@pytest.mark.requirement("muse.command.balance-provider")
def test_balance_tells_the_providers_too(banked: Stack, user: str, make_app: MakeApp):
    name, _ = bank(banked)
    client = make_app(banked)
    frames = communicate(client, user, "/balance")
    tokens, account = text_of(frames).split("\n")
    assert tokens == "Tokens: 10000 left, 10000 granted, 0 used."
    assert account == f"Balance at {name}: {PROVIDERS[name]}."
    assert end_of(frames)["metadata"]["usage"]["total_tokens"] == 0
    assert ledger(banked.database, user) == [("grant", 10_000, 0)]
    assert records_of(banked.database, user) == [("command", "/balance", False)]
    assert [message.answer for message in saved_of(banked.database, user)] == [text_of(frames)]


@pytest.mark.requirement("muse.command.balance-provider")
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 401, "error": "No."},
        {"text": "<html>"},
        {"text": '{"balance_infos": 3, "data": {}}'},
        {"text": "[]"},
        {"faults": "demo-hang:0"},
    ],
)
def test_a_provider_that_does_not_tell_is_said_so(
    stack: Stack, banked: Stack, user: str, make_app: MakeApp, fault: dict
):
    name, path = bank(banked)
    script(stack, {"model": path, **fault})
    tokens, account = answer(make_app(banked), user, "/balance").split("\n")
    assert tokens == "Tokens: 10000 left, 10000 granted, 0 used."
    assert account == f"{name} does not tell its balance now."


@pytest.mark.requirement("muse.command.balance-provider")
def test_a_balance_can_be_stopped(stack: Stack, banked: Stack, user: str, make_app: MakeApp):
    client = make_app(banked)
    script(stack, {"model": bank(banked)[1], "faults": "demo-hang:0"})
    with listening(client, "POST", "/communicate", params={"prompt": "/balance", "user_id": user}) as frames_of:
        first = first_said(frames_of)
        stop(client, user, first["task_id"])
        rest = [frame.data for frame in frames_of if frame.data]
    assert [frame["event"] for frame in rest] == ["message_end"]
