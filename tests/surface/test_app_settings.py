"""What an app decides, what the live settings decide, and which of them wins on which surface."""

from decimal import Decimal
from typing import Any

import pytest

from books import balance
from neighbours import HURRIED, MakeApp
from stack import Stack
from talk import ask, calls, communicate, end_of, script, shown, stream

SAMPLING = ("model", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop")
TUNED_SAMPLING = {
    "max_tokens": 77,
    "temperature": 0.1,
    "top_p": 0.5,
    "frequency_penalty": 1.5,
    "presence_penalty": -1,
    "stop": ["zebra", "yak"],
}
"""What the live settings of the gateway `tuned` make of a call."""


def asked(stack: Stack, question: str) -> dict[str, Any]:
    """How the model was called: its name and sampling."""
    (call,) = calls(stack, question)
    return {name: call["body"][name] for name in SAMPLING if name in call["body"]}


@pytest.mark.requirement("v1.apps.model", "v1.apps.sampling", "muse.wins.sampling-b", "muse.wins.model-b")
def test_an_apps_model_and_sampling_reach_the_provider(stack: Stack, user: str, tuned: str, make_app: MakeApp):
    own = {"max_tokens": 12, "temperature": 0.3, "top_p": 0.4, "frequency_penalty": -1, "presence_penalty": 2}
    client = make_app(tuned, model="demo-tokens:4", stop=["ox"], **own)
    ask(client, user, user)
    assert asked(stack, user) == {"model": "demo-tokens:4", "stop": ["ox"], **own}


@pytest.mark.requirement("muse.field.llm", "muse.wins.environment", "muse.wins.model-b", "muse.field.default_model")
def test_what_an_app_leaves_open_the_live_settings_decide(stack: Stack, user: str, tuned: str, make_app: MakeApp):
    ask(make_app(tuned), user, user)
    assert asked(stack, user) == {"model": "demo-tokens:9", **TUNED_SAMPLING}


@pytest.mark.requirement("muse.wins.model-b")
def test_the_providers_default_model_stands_in_where_nobody_chose_one(stack: Stack, user: str, make_app: MakeApp):
    ask(make_app(), user, user)
    assert asked(stack, user) == {"model": "demo", "max_tokens": 2048, "temperature": 0.7, "top_p": 0.9}


@pytest.mark.requirement("muse.field.llm-defaults")
def test_what_is_the_providers_own_default_is_not_sent(stack: Stack, user: str, unlocked: str, make_app: MakeApp):
    ask(make_app(unlocked), user, user)
    assert asked(stack, user) == {"model": "demo", "max_tokens": 2048}


@pytest.mark.requirement("muse.wins.prompt-b", "muse.field.character")
@pytest.mark.parametrize(("settings", "prompt"), [({"prompt": "Be wordy."}, "Be wordy."), ({}, "Be brief.")])
def test_an_apps_prompt_wins_over_the_character_on_v1(
    stack: Stack, user: str, tuned: str, make_app: MakeApp, settings: dict[str, str], prompt: str
):
    ask(make_app(tuned, **settings), user, user)
    assert shown(stack, user) == [("system", prompt), ("user", user)]


@pytest.mark.requirement("muse.wins.prompt-a")
def test_the_character_is_the_prompt_of_the_muse_surface_whatever_the_app_says(
    stack: Stack, user: str, tuned: str, make_app: MakeApp
):
    communicate(make_app(tuned, prompt="Be wordy."), "ann", user)
    assert shown(stack, user) == [("system", "Be brief."), ("user", user)]


@pytest.mark.requirement("muse.wins.model-a", "muse.wins.sampling-a")
def test_the_live_settings_choose_model_and_sampling_on_the_muse_surface_whatever_the_app_says(
    stack: Stack, user: str, tuned: str, make_app: MakeApp
):
    client = make_app(tuned, model="demo-tokens:4", temperature=0.3, max_tokens=12, stop=["ox"])
    communicate(client, "ann", user)
    assert asked(stack, user) == {"model": "demo-tokens:9", **TUNED_SAMPLING}


@pytest.mark.requirement("v1.apps.grant", "muse.wins.grant-b", "muse.field.token_per_user", "muse.user.first-sight")
@pytest.mark.parametrize(("settings", "grant"), [({"token_per_user": 500}, 500), ({}, 600)])
def test_an_apps_grant_wins_over_the_live_one_on_v1(
    stack: Stack, user: str, tuned: str, make_app: MakeApp, settings: dict[str, int], grant: int
):
    ask(make_app(tuned, **settings), user)
    assert balance(stack.database, user).granted == grant


@pytest.mark.requirement("muse.wins.grant-a")
def test_the_live_grant_holds_on_the_muse_surface_whatever_the_app_says(stack: Stack, user: str, make_app: MakeApp):
    communicate(make_app(token_per_user=500), user, "Hello?")
    assert balance(stack.database, user).granted == 10_000


@pytest.mark.requirement("v1.apps.prices", "v1.chat.usage-prices")
@pytest.mark.parametrize(
    ("settings", "units", "currency"),
    [
        ({}, ("0.001", "0.002"), "USD"),
        ({"prompt_price": "0.5", "completion_price": "1.25", "currency": "EUR"}, ("0.5", "1.25"), "EUR"),
        ({"prompt_price": "0", "completion_price": "0.0000004"}, ("0", "0.0000004"), "USD"),
    ],
)
def test_prices_are_those_of_the_app_or_of_the_model(
    user: str, make_app: MakeApp, settings: dict[str, str], units: tuple[str, str], currency: str
):
    usage = end_of(stream(make_app(model="demo-tokens:1000", **settings), user))["metadata"]["usage"]
    prompt, completion = (
        Decimal(unit) * usage[f"{name}_tokens"] / 1000 for unit, name in zip(units, NAMES, strict=True)
    )
    prices = (prompt, completion, prompt + completion)
    shown_prices = [usage[f"{name}_price"] for name in (*NAMES, "total")]
    assert shown_prices == [f"{price:.7f}" for price in prices]
    assert (usage["prompt_unit_price"], usage["completion_unit_price"], usage["currency"]) == (*units, currency)
    assert usage["completion_tokens"] == 1000


NAMES = ("prompt", "completion")


@pytest.mark.requirement(
    "muse.field.type", "muse.field.custom_url", "muse.field.token", "muse.field.llm_proxy"
)  # fmt: skip
def test_the_provider_in_use_is_reached_at_its_url_with_its_key_through_the_proxy(
    user: str, hurried: Stack, make_app: MakeApp
):
    assert HURRIED["HELICON_CUSTOM_URL"] == "http://upstream.invalid/v1"  # which nobody but the proxy knows
    ask(make_app(hurried), user, user)
    (call,) = calls(hurried, user)
    assert (call["path"], call["key"]) == ("/v1/chat/completions", "sk-***1234")


@pytest.mark.requirement("muse.field.llm_retry_times", "muse.field.llm_retry_interval")
def test_a_call_is_tried_again_as_often_and_as_late_as_the_settings_say(user: str, hurried: Stack, make_app: MakeApp):
    model = f"demo-tokens:{3000 + int(user[-3:], 16)}"
    script(hurried, *[{"model": model, "status": 500, "error": "Oh."}] * 2)
    end = end_of(stream(make_app(hurried, model=model), user, user))
    assert (end["event"], end.get("code")) == ("error", "completion_request_error")
    first, second = calls(hurried, user)
    assert second["time"] - first["closed_at"] > 0.2  # 300 ms, spread by a quarter
