"""What the demo upstream remembers: calls, counts and the script."""

import pytest

from services.demo.asked import AskedCalls, mask
from services.demo.faults import Faults, parse_model
from services.demo.refusals import CallCounts, Reason, Refusal
from services.demo.script import Script


def reasons_of(model, calls):
    counts, faults = CallCounts(), parse_model(model)
    return [reason_of(counts, model, "key", faults) for _ in range(calls)]


def reason_of(counts, model, key, faults):
    try:
        counts.check(model, key, faults)
    except Refusal as refusal:
        return refusal.reason
    return None


def test_the_first_calls_are_refused_and_the_429s_come_first():
    expected = [Reason.TOO_MANY, Reason.TOO_MANY, Reason.BROKEN, None, None]
    assert reasons_of("demo-500:1+429:2", 5) == expected


def test_without_a_number_every_call_is_refused():
    assert reasons_of("demo-429", 5) == [Reason.TOO_MANY] * 5


def test_each_key_is_counted_by_itself():
    counts, faults = CallCounts(), Faults(too_many=1)
    found = [reason_of(counts, "demo-429:1", key, faults) for key in ("a", "b", "a")]
    assert found == [Reason.TOO_MANY, Reason.TOO_MANY, None]


def test_cleared_counts_begin_anew():
    counts, faults = CallCounts(), Faults(too_many=1)
    first = reason_of(counts, "demo-429:1", "a", faults)
    counts.clear()
    assert [first, reason_of(counts, "demo-429:1", "a", faults)] == [Reason.TOO_MANY] * 2


def test_the_oldest_calls_are_dropped_above_the_ceiling():
    asked = AskedCalls(most_calls=3)
    for _ in range(5):
        asked.add("openai", "/", "", b"{}")
    assert [row["id"] for row in asked.rows()] == [3, 4, 5]


def test_the_oldest_calls_are_dropped_when_their_bodies_are_too_much():
    asked = AskedCalls(most_bytes=10)
    for _ in range(3):
        asked.add("openai", "/", "", b'"123456"')
    assert [row["id"] for row in asked.rows()] == [3]


def test_a_call_is_shown_as_it_came_and_as_it_ended():
    asked = AskedCalls()
    call = asked.add("openai", "/v1/chat/completions", "sk-1234567890", b'{"a": 1}')
    call.model, call.status, call.prompt_tokens, call.pieces, call.given = "demo", 200, 8, (" amber", " river"), 1
    before = asked.rows()
    call.end("client")
    row = {
        "id": 1,
        "time": call.time,
        "protocol": "openai",
        "path": "/v1/chat/completions",
        "model": "demo",
        "key": "sk-***7890",
        "body": {"a": 1},
        "status": 200,
        "tokens_sent": 1,
        "prompt_tokens": 8,
        "finished": False,
        "closed_by": None,
        "closed_at": None,
    }
    assert [before, asked.rows()] == [[row], [{**row, "closed_by": "client", "closed_at": call.closed_at}]]
    assert call.closed_at >= call.time


def test_a_body_that_is_no_json_is_shown_as_text():
    asked = AskedCalls()
    asked.add("openai", "/", "", b"{\xff")
    assert asked.rows()[0]["body"] == "{\ufffd"


@pytest.mark.parametrize(("key", "shown"), [("", None), ("secret", "s***"), ("sk-1234567890", "sk-***7890")])
def test_a_key_is_shown_masked(key, shown):
    assert mask(key) == shown


def test_scripted_answers_go_to_the_calls_that_they_are_for():
    script = Script()
    script.extend(b'[{"text": "b", "model": "gpt-4o"}, {"text": "any"}, {"text": "second"}]')
    taken = [script.take(model) for model in ("other", "demo-slow:1", "gpt-4o", "demo", "demo")]
    assert [item and item.text for item in taken] == [None, "any", "b", "second", None]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[{}]",
        b'[{"model": "demo"}]',
        b'[{"text": 5}]',
        b'[{"txt": "x"}]',
        b'[{"faults": "demo-nonsense"}]',
        b'[{"status": 200}]',
    ],
)
def test_a_script_that_is_not_understood_is_refused_whole(raw):
    script = Script()
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's error is one, and so is our own
        script.extend(raw)
    assert script.take("demo") is None


def test_a_script_has_a_ceiling(monkeypatch):
    monkeypatch.setattr("services.demo.script.MOST_QUEUED", 2)
    script = Script()
    script.extend(b'[{"text": "a"}, {"text": "b"}]')
    with pytest.raises(ValueError, match="At most 2 answers"):
        script.extend(b'[{"text": "c"}]')
