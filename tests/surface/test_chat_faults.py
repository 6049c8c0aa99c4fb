"""What goes wrong with a chat, told as a frame of the stream and as a status, and what is kept and paid of it."""

from typing import Any

import httpx
import pytest
import uuid_utils.compat as uuids

from books import balance, has_ended, ledger, saved
from neighbours import MakeApp
from stack import Stack, wait_for
from talk import ask, calls, end_of, post, script, stream, text_of

FAILED = (400, "completion_request_error")
MODES = pytest.mark.parametrize("mode", ["blocking", "streaming"])


def failure(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of a failed answer, from either mode's."""
    if response.headers["Content-Type"].startswith("application/json"):
        fields = response.json()
        assert fields == {"code": fields["code"], "message": fields["message"], "status": response.status_code}
        return fields["status"], fields["code"], fields["message"]
    raise AssertionError(response.text)


def both_failures(client: httpx.Client, user: str, **fields: Any) -> list[tuple[int, str, str]]:
    """How the same chat fails in a stream and in one piece."""
    frames = stream(client, user, **fields)
    end = end_of(frames)
    ids = ("task_id", "message_id", "conversation_id", "created_at")
    assert end == {
        "event": "error",
        **{name: frames[0][name] for name in ids},
        **{name: end[name] for name in ("status", "code", "message")},
    }
    return [(end["status"], end["code"], end["message"]), failure(post(client, user, **fields))]


@pytest.mark.requirement(
    "v1.errors.late", "v1.chat.error", "v1.fault.5xx", "v1.fault.cut", "v1.fault.malformed", "v1.fault.empty",
    "v1.fault.provider-rate", "v1.fault.model", "ops.demo.names", "ops.demo.refusals", "ops.demo.breaks",
)  # fmt: skip
@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("demo-500", FAILED, "demo answered 500"),
        ("demo-cut:3+tokens:9", FAILED, "demo broke off"),
        ("demo-cut:0", FAILED, "demo broke off"),
        ("demo-malformed:3+tokens:9", FAILED, "malformed"),
        ("demo-empty", FAILED, "empty"),
        ("demo-429", (429, "too_many_requests"), "demo answered 429"),
        ("demo-nonsense", (400, "model_currently_not_support"), "demo-nonsense"),
    ],
)
def test_a_provider_that_fails_is_told_with_what_went_wrong(
    user: str, make_app: MakeApp, model: str, code: tuple[int, str], words: str
):
    streamed, blocking = both_failures(make_app(model=model), user)
    assert streamed[:2] == blocking[:2] == code
    assert words in streamed[2]
    assert words in blocking[2]


@pytest.mark.requirement("v1.fault.4xx", "v1.fault.provider-quota", "v1.fault.refused-key", "ops.demo.script")
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"status": 400, "error": "The moon is full."}, FAILED, "The moon is full."),
        ({"status": 422, "error": "No."}, FAILED, "422"),
        (
            {"status": 429, "error": {"message": "Top up.", "code": "insufficient_quota"}},
            (400, "provider_quota_exceeded"),
            "Top up.",
        ),
        ({"status": 402, "error": "Pay."}, (400, "provider_quota_exceeded"), "Pay."),
        ({"status": 401, "error": "Who?"}, (400, "provider_not_initialize"), "401"),
        ({"status": 403, "error": "No."}, (400, "provider_not_initialize"), "403"),
        ({"status": 404, "error": "Gone."}, (400, "model_currently_not_support"), "404"),
        ({"text": "Some text", "error": "It burns."}, FAILED, "It burns."),
    ],
)
def test_a_provider_that_refuses_is_told_by_its_reason(
    stack: Stack, user: str, make_app: MakeApp, answer: dict[str, Any], code: tuple[int, str], words: str
):
    model = f"demo-{uuids.uuid7()}"
    script(stack, *[{"model": model, **answer}] * 2)
    streamed, blocking = both_failures(make_app(model=model), user)
    assert streamed == blocking
    assert streamed[:2] == code
    assert words in streamed[2]


@pytest.mark.requirement("v1.fault.first-token", "v1.fault.next-token", "ops.demo.pace", "ops.demo.breaks")
@pytest.mark.parametrize(
    ("model", "words", "tokens"),
    [
        ("demo-slow-first:30", "did not answer within 1 s", 0),
        ("demo-hang:2+tokens:9", "stopped sending for 1 s", 2),
    ],
)
def test_a_provider_that_says_nothing_for_too_long_is_given_up(
    user: str, hurried: Stack, make_app: MakeApp, model: str, words: str, tokens: int
):
    frames = stream(make_app(hurried, model=model), user, user)
    end = end_of(frames)
    assert (end["status"], end["code"]) == FAILED
    assert words in end["message"]
    assert len(text_of(frames).split()) == tokens
    (call,) = wait_for(lambda: [call for call in calls(hurried, user) if call["closed_by"]], "the call has ended")
    assert call["closed_by"] == "client"


@pytest.mark.requirement("v1.fault.refused-key")
@pytest.mark.parametrize(("provider", "status"), [("openai", 401), ("anthropic", 403)])
def test_a_key_that_the_provider_does_not_take_is_told(
    user: str, hurried: Stack, make_app: MakeApp, provider: str, status: int
):
    streamed, blocking = both_failures(make_app(hurried, provider=provider, model="demo"), user)
    assert streamed == blocking
    assert streamed[:2] == (400, "provider_not_initialize")
    assert f"{provider} answered {status}" in streamed[2]


@pytest.mark.requirement("v1.fault.retried", "ops.demo.refusals")
@pytest.mark.parametrize("fault", ["500:2", "429:3"])
def test_failures_that_pass_within_the_retries_are_not_seen(stack: Stack, user: str, make_app: MakeApp, fault: str):
    number = 2000 + int(user[-3:], 16)
    answer = ask(make_app(model=f"demo-{fault}+tokens:{number}+nousage", max_tokens=5), user, user)
    assert len(answer["answer"].split()) == 5
    assert [call["status"] for call in calls(stack, user)] == [int(fault[:3])] * int(fault[-1]) + [200]


@pytest.mark.requirement("v1.fault.no-usage", "ops.demo.breaks")
def test_usage_that_does_not_come_is_counted(user: str, make_app: MakeApp):
    reported = ask(make_app(model="demo-tokens:9"), user)["metadata"]["usage"]
    counted = ask(make_app(model="demo-tokens:9+nousage"), user)["metadata"]["usage"]
    assert counted["completion_tokens"] == reported["completion_tokens"] == 9
    assert abs(counted["prompt_tokens"] - reported["prompt_tokens"]) <= 3


@pytest.mark.requirement("v1.chat.partial", "v1.chat.one-end")
@pytest.mark.parametrize("model", ["demo-cut:6+tokens:20", "demo-malformed:6+tokens:20"])
def test_a_run_that_fails_keeps_and_pays_the_partial_answer(stack: Stack, user: str, make_app: MakeApp, model: str):
    frames = stream(make_app(model=model), user, user)
    kept = saved(stack.database, frames[0]["message_id"])
    assert kept[:4] == ("failed", user, text_of(frames), "provider_failed")
    assert len(kept.answer.split()) == 6
    booked = ledger(stack.database, user)
    assert [kind for kind, _, _ in booked] == ["grant", "reserve", "settle"]
    assert booked[-1][2] == kept.tokens > 6
    granted, left, total = balance(stack.database, user)
    assert left == total == granted - kept.tokens


def test_a_run_that_fails_before_its_first_token_costs_nothing(stack: Stack, user: str, make_app: MakeApp):
    stream(make_app(model="demo-500"), user)
    assert [kind for kind, _, _ in ledger(stack.database, user)] == ["grant", "reserve", "refund"]
    granted, left, total = balance(stack.database, user)
    assert granted == left == total


@pytest.mark.requirement(
    "v1.errors.early", "v1.fault.app", "v1.fault.no-key", "v1.fault.model", "v1.fault.conversation", "v1.errors.shape"
)  # fmt: skip
@MODES
@pytest.mark.parametrize(
    ("settings", "fields", "code", "words"),
    [
        ({"provider": "nobody"}, {}, (400, "app_unavailable"), "nobody"),
        ({"provider": "openai"}, {}, (400, "provider_not_initialize"), "OPENAI_API_KEY"),
        ({}, {"conversation_id": str(uuids.uuid7())}, (404, "not_found"), "onversation"),
    ],
)
def test_what_the_gateway_can_know_is_a_status_before_any_stream(
    user: str, make_app: MakeApp, settings: dict, fields: dict, code: tuple[int, str], words: str, mode: str
):
    status, name, message = failure(post(make_app(**settings), user, response_mode=mode, **fields))
    assert (status, name) == code
    assert words in message


@pytest.mark.requirement("v1.errors.early", "v1.fault.model")
@MODES
def test_a_model_that_a_provider_does_not_offer_is_refused_at_once(
    user: str, hurried: Stack, make_app: MakeApp, mode: str
):
    client = make_app(hurried, provider="aliyun", model="gpt-9")
    status, code, message = failure(post(client, user, response_mode=mode))
    assert (status, code) == (400, "model_currently_not_support")
    assert "gpt-9" in message


@pytest.mark.requirement("v1.chat.blocking-timeout")
def test_a_blocking_answer_that_takes_too_long_goes_on_and_is_saved(user: str, hurried: Stack, make_app: MakeApp):
    client = make_app(hurried, model="demo-slow:100+tokens:20")
    headers = {"Idempotency-Key": "k"}
    fields = failure(post(client, user, user, headers=headers))
    assert fields[:2] == (504, "gateway_timeout")
    answer = wait_for(lambda: _answered(client, user, headers), "the run has ended")
    assert has_ended(hurried.database, answer["message_id"])
    assert len(answer["answer"].split()) == 20
    assert len(calls(hurried, user)) == 1


def _answered(client: httpx.Client, user: str, headers: dict[str, str]) -> dict[str, Any] | None:
    response = post(client, user, user, headers=headers)
    return response.json() if response.status_code == 200 else None
