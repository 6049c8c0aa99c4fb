"""Each field of the live configuration has its effect when it is changed while everything runs.

`EFFECTS` has them by field; a test fails when a field has none.
"""

import base64
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from books import balance, make_older
from forward_proxy import Passed, forward_proxy
from shared.catalogue.catalogue import load_catalogue
from shared.contracts.live import LiveSettings
from stack import Part, start_demo
from talk import ask, calls, chatting, communicate, end_of, first_said, listening, post, said, script, shown, text_of
from twins import SLOW, Twins

Effect = Callable[[Twins, str], None]
PROVIDERS = load_catalogue().providers
EFFECTS: dict[tuple[str, str], Effect] = {}


def effect_of(section: str, *keys: str) -> Callable[[Effect], Effect]:
    """Registers what shows the effect of fields; it gets the twins and a text that nobody else uses."""

    def register(effect: Effect) -> Effect:
        EFFECTS.update({(section, key): effect for key in keys})
        return effect

    return register


def test_every_field_has_a_test_of_its_effect():
    fields = {(section, key) for section, values in LiveSettings().model_dump().items() for key in values}
    assert fields == set(EFFECTS)


def bodies(twins: Twins, question: str) -> list[dict[str, Any]]:
    """What both workers send."""
    return [call["body"] for call in twins.asked_by_both(question)]


def communicating(twins: Twins, user: str, prompt: str, gateway: int = 1) -> list[dict[str, Any]]:
    """A prompt to a gateway that did not make the change."""
    with twins.app(gateway) as client:
        return communicate(client, user, prompt)


@effect_of("base", "type")
def another_provider_is_asked(twins: Twins, user: str) -> None:
    assert [call["protocol"] for call in twins.asked_by_both(f"{user} 1")] == ["openai"] * 2
    twins.update("base", "anthropic_token", "sk-ant-0123456789")
    twins.update("base", "type", "anthropic")
    assert [call["path"] for call in twins.asked_by_both(f"{user} 2")] == ["/v1/messages"] * 2


@effect_of("base", "custom_url")
def another_url_is_called(twins: Twins, user: str) -> None:
    parts: dict[str, Part] = {}
    try:
        url = start_demo(parts)
        twins.update("base", "custom_url", f"{url}/v1")
        for gateway in (0, 1):
            with twins.app(gateway) as client:
                assert ask(client, user, user)["answer"]
        asked = [row["path"] for row in httpx.get(f"{url}/_requests").json()]
        assert asked.count("/v1/chat/completions") == 2
        assert calls(twins.stack, user) == []
    finally:
        parts["demo"].stop()


def another_key_is_sent(provider: str) -> Effect:
    def effect(twins: Twins, user: str) -> None:
        chosen = {"provider": provider, "model": SLOW}
        if PROVIDERS[provider].key:
            with twins.app(**chosen) as client:
                assert post(client, user).json()["code"] == "provider_not_initialize"
        for key in ("sk-first-0123456789", f"sk-{user}"):
            twins.update("base", f"{provider}_token", key)
            asked = twins.asked_by_both(f"{user} {key}", **chosen)
            assert [call["key"] for call in asked] == [f"sk-***{key[-4:]}"] * 2

    return effect


for name in PROVIDERS:
    effect_of("base", f"{name}_token")(another_key_is_sent(name))


@effect_of("base", "llm_proxy")
def calls_go_through_the_proxy(twins: Twins, user: str) -> None:
    with forward_proxy(twins.stack.demo_url) as proxy:
        twins.update("base", "custom_url", "http://upstream.invalid/v1")  # which nobody but the proxy knows
        twins.update("base", "llm_proxy", f"http://bob:s3cret@{proxy.host}")
        assert len(bodies(twins, user)) == 2
        word = base64.b64encode(b"bob:s3cret").decode()
        passed = [one for one in proxy.passed if one.url.endswith("/chat/completions")]  # models are asked for as well
        assert passed == [Passed("http://upstream.invalid/v1/chat/completions", f"Basic {word}")] * 2


@effect_of("base", "lang")
def commands_answer_in_the_language(twins: Twins, user: str) -> None:
    foreign = {"zh": r"[\u4e00-\u9fff]", "ru": r"[\u0430-\u044f]"}
    for lang in ("zh", "ru", "en"):
        twins.update("base", "lang", lang)
        for gateway in (0, 1):
            answer = text_of(communicating(twins, user, "/help", gateway))
            assert [name for name, letter in foreign.items() if re.search(letter, answer)] == [lang][: lang != "en"]


@effect_of("base", "token_per_user")
def new_users_get_the_grant_and_old_ones_keep_theirs(twins: Twins, user: str) -> None:
    with twins.app(1) as client:
        ask(client, user)
        twins.update("base", "token_per_user", 777)
        ask(client, user)
        ask(client, f"{user}-new")
        communicate(client, f"{user}-new-too", "/help")
    granted = [balance(twins.stack.database, name).granted for name in (user, f"{user}-new", f"{user}-new-too")]
    assert granted == [10_000, 777, 777]


def refusals(twins: Twins, user: str) -> list[str]:
    """The codes of errors when a user begins two chats with `/communicate` at once, at a gateway each."""
    with twins.app(0) as one, twins.app(1) as other:
        other.headers["Authorization"] = one.headers["Authorization"]
        query = {"prompt": f"Hello? {user}", "user_id": user}
        with (
            listening(one, "POST", "/communicate", params=query) as first,
            listening(other, "POST", "/communicate", params=query) as second,
        ):
            ends = [end_of(said(frames)) for frames in (first, second)]
    return [end["code"] for end in ends if end["event"] == "error"]


LONG = "demo-slow-first:0.2+demo-slow:100+demo-tokens:20"


@effect_of("base", "max_user_chat")
def no_more_chats_of_a_user_at_once(twins: Twins, user: str) -> None:
    twins.update("base", "default_model", LONG)
    assert refusals(twins, f"{user}-2") == []
    twins.update("base", "max_user_chat", 1)
    assert refusals(twins, f"{user}-1") == ["too_many_chats"]


def a_chat(twins: Twins, user: str, question: str, **settings: object) -> list[tuple[str, str]]:
    """What the model is shown with a question that follows two others."""
    with twins.app(1, **settings) as client:
        for number in (1, 2):
            communicate(client, user, f"{user} {number}")
        make_older(twins.stack.database, "messages", "query", f"{user} 2", hours=2)
        make_older(twins.stack.database, "messages", "query", f"{user} 1", hours=3)
        communicate(client, user, question)
    return [turn for turn in shown(twins.stack, question) if turn[0] == "user"]


@effect_of("base", "max_qa_pair")
def fewer_turns_are_shown(twins: Twins, user: str) -> None:
    twins.update("base", "max_qa_pair", 1)
    assert a_chat(twins, user, user) == [("user", f"{user} 2"), ("user", user)]


@effect_of("base", "context_expire_time")
def older_turns_are_not_shown(twins: Twins, user: str) -> None:
    twins.update("base", "context_expire_time", int(2.5 * 3600))
    assert a_chat(twins, user, user) == [("user", f"{user} 2"), ("user", user)]


def times_of_tries(twins: Twins, user: str) -> list[tuple[float, float]]:
    """When a call that fails every time began and ended, by its tries."""
    model = f"demo-tokens:{100_000 + int(user[-4:], 16)}"
    script(twins.stack, *[{"model": model, "status": 500, "error": "Oh."}] * 4)
    with twins.app(1, model=model) as client:
        assert post(client, user, user).status_code == 400
    return [(call["time"], call["closed_at"]) for call in calls(twins.stack, user)]


@effect_of("base", "llm_retry_times")
def a_call_is_tried_as_often(twins: Twins, user: str) -> None:
    twins.update("base", "llm_retry_times", 2)
    assert len(times_of_tries(twins, user)) == 3


@effect_of("base", "llm_retry_interval")
def a_call_is_tried_as_late(twins: Twins, user: str) -> None:
    twins.update("base", "llm_retry_times", 1)
    twins.update("base", "llm_retry_interval", 600)
    (_, ended), (began, _) = times_of_tries(twins, user)
    assert began - ended > 0.4  # spread by a quarter


@effect_of("base", "character")
def the_character_is_the_prompt(twins: Twins, user: str) -> None:
    twins.update("base", "character", "Be brief.")
    assert [body["messages"][0]["content"] for body in bodies(twins, user)] == ["Be brief."] * 2
    communicating(twins, user, f"{user} too")
    assert shown(twins.stack, f"{user} too")[0] == ("system", "Be brief.")


@effect_of("base", "default_model")
def the_model_is_asked(twins: Twins, user: str) -> None:
    twins.update("base", "default_model", "demo-tokens:3")
    communicating(twins, user, user)
    assert [call["model"] for call in calls(twins.stack, user)] == ["demo-tokens:3"]


def statuses(twins: Twins, user: str) -> list[int]:
    """How `/communicate` of each gateway answers a user."""
    query = {"prompt": "/help", "user_id": user}
    return [client.post("/communicate", params=query).status_code for client in twins.gateways]


@effect_of("base", "allowed_user_ids")
def others_are_refused(twins: Twins, user: str) -> None:
    twins.update("base", "allowed_user_ids", f"nobody,{user}")
    assert statuses(twins, user) == [200, 200]
    assert statuses(twins, f"{user}-2") == [403, 403]


@effect_of("base", "admin_user_ids")
def admin_users_are_free_of_allow_list_and_quota(twins: Twins, user: str) -> None:
    twins.update("base", "token_per_user", 1)
    twins.update("base", "allowed_user_ids", "nobody")
    assert statuses(twins, user) == [403, 403]
    twins.update("base", "admin_user_ids", [user])
    assert statuses(twins, user) == [200, 200]
    assert end_of(communicating(twins, user, user))["event"] == "message_end"
    twins.update("base", "allowed_user_ids", "")
    assert end_of(communicating(twins, f"{user}-2", user))["code"] == "provider_quota_exceeded"


def a_value_is_sent(section: str, key: str, value: object, sent_as: str) -> Effect:
    def effect(twins: Twins, user: str) -> None:
        twins.update(section, key, value)
        assert [body[sent_as] for body in bodies(twins, user)] == [value] * 2
        communicating(twins, user, f"{user} too")
        assert [call["body"][sent_as] for call in calls(twins.stack, f"{user} too")] == [value]

    return effect


SENT: dict[str, object] = {
    "temperature": 0.3,
    "top_p": 0.4,
    "max_tokens": 33,
    "frequency_penalty": 1.5,
    "presence_penalty": -1.5,
    "stop": ["ox", "yak"],
}
for field, chosen in SENT.items():
    effect_of("llm", field)(a_value_is_sent("llm", field, chosen, field))
effect_of("llm", "log_probs")(a_value_is_sent("llm", "log_probs", True, "logprobs"))  # noqa: FBT003 - the value


@effect_of("llm", "top_log_probs")
def so_many_others_are_asked_for(twins: Twins, user: str) -> None:
    twins.update("llm", "top_log_probs", 3)
    assert ["top_logprobs" in body for body in bodies(twins, f"{user} 1")] == [False, False]
    twins.update("llm", "log_probs", "true")
    assert [body["top_logprobs"] for body in bodies(twins, f"{user} 2")] == [3, 3]


@pytest.mark.requirement(
    "muse.field.type", "muse.field.custom_url", "muse.field.token", "muse.field.llm_proxy", "muse.field.lang",
    "muse.field.token_per_user", "muse.field.max_user_chat", "muse.field.max_qa_pair", "muse.field.context_expire_time",
    "muse.field.llm_retry_times", "muse.field.llm_retry_interval", "muse.field.character", "muse.field.default_model",
    "muse.field.allowed_user_ids", "muse.field.admin_user_ids", "muse.field.llm", "muse.field.log_probs",
)  # fmt: skip
@pytest.mark.parametrize("place", EFFECTS, ids=".".join)
def test_a_change_of_a_field_has_its_effect(twins: Twins, user: str, place: tuple[str, str]):
    EFFECTS[place](twins, user)


@pytest.mark.requirement("muse.wins.parallel", "muse.field.max_user_chat")
def test_the_parallel_limit_of_the_live_settings_does_not_hold_on_v1(twins: Twins, user: str):
    twins.update("base", "max_user_chat", 1)
    with (
        twins.app(0, model=LONG) as client,
        chatting(client, user) as one,
        chatting(client, user) as other,
    ):
        assert end_of(said(one))["event"] == "message_end"
        assert end_of(said(other))["event"] == "message_end"


@pytest.mark.requirement("v1.apps.parallel-limit", "v1.errors.parallel-limit", "v1.fault.chats")
def test_an_apps_parallel_limit_holds_for_each_of_its_users_on_v1(twins: Twins, user: str):
    with twins.app(0, model=LONG, max_user_chat=1) as client, chatting(client, user) as one:
        first_said(one)
        refused = post(client, user)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) >= 1
        with chatting(client, f"{user}-other") as other:
            assert end_of(said(other))["event"] == "message_end"
        assert end_of(said(one))["event"] == "message_end"
    with twins.app(1, max_user_chat=1) as client:
        assert [post(client, user).status_code for _ in range(3)] == [200] * 3


@pytest.mark.requirement("muse.field.admin-parallel")
def test_an_admin_user_is_free_of_the_parallel_limit(twins: Twins, user: str):
    twins.update("base", "default_model", LONG)
    twins.update("base", "max_user_chat", 1)
    twins.update("base", "admin_user_ids", user)
    assert refusals(twins, user) == []
