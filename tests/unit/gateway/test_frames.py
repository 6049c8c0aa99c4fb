"""Events as frames: every field that the API shows, and no other."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.muse.errors import FRAME_CODES
from services.gateway.streaming.frames import Frames, error_frame, known_code, usage_fields
from services.gateway.streaming.runstream import RunIds
from shared.contracts.events import Closed, Failed, Finished, Text, Usage
from shared.domain.errors import ErrorCode, HeliconError

IDS = RunIds(UUID(int=1), UUID(int=2), UUID(int=3), datetime(2026, 1, 2, 3, 4, 5, 678000, UTC))
COMMON = {
    "task_id": "00000000-0000-0000-0000-000000000001",
    "message_id": "00000000-0000-0000-0000-000000000002",
    "conversation_id": "00000000-0000-0000-0000-000000000003",
    "created_at": 1767323045,
}
USAGE = Usage(
    prompt_tokens=1033,
    completion_tokens=128,
    prompt_unit_price="0.001",
    completion_unit_price="0.002",
    currency="EUR",
    latency=2.5,
    time_to_first_token=0.5,
    time_to_generate=2.0,
    estimated=True,
)
SHOWN_USAGE = {
    "prompt_tokens": 1033,
    "prompt_unit_price": "0.001",
    "prompt_price_unit": "0.001",
    "prompt_price": "0.0010330",
    "completion_tokens": 128,
    "completion_unit_price": "0.002",
    "completion_price_unit": "0.001",
    "completion_price": "0.0002560",
    "total_tokens": 1161,
    "total_price": "0.0012890",
    "currency": "EUR",
    "latency": 2.5,
    "time_to_first_token": 0.5,
    "time_to_generate": 2.0,
}


def written(event) -> dict:
    frame = Frames(IDS).write(event)
    assert frame is not None
    return orjson.loads(frame)


@given(st.text())
def test_a_text_is_a_message_with_it_as_its_answer(text: str):
    assert written(Text(text)) == {"event": "message", **COMMON, "id": COMMON["message_id"], "answer": text}


def test_text_is_not_escaped():
    frame = Frames(IDS).write(Text("你好 ü"))
    assert frame is not None
    assert "你好 ü".encode() in frame


@pytest.mark.parametrize("reason", ["complete", "stopped"])
def test_an_answer_that_is_whole_or_was_stopped_has_an_ordinary_end(reason):
    assert written(Finished(USAGE, reason)) == {
        "event": "message_end",
        **COMMON,
        "id": COMMON["message_id"],
        "metadata": {"usage": SHOWN_USAGE, "retriever_resources": []},
        "files": [],
    }


def test_a_failure_is_an_error_with_its_code_and_status():
    assert written(Failed(ErrorCode.PROVIDER_RATE_LIMITED, "Too many.")) == {
        "event": "error",
        **COMMON,
        "code": "too_many_requests",
        "message": "Too many.",
        "status": 429,
    }


def test_a_failure_that_only_a_newer_worker_knows_is_an_internal_one():
    assert written(Failed("a_newer_code", "Oh."))["code"] == "internal_server_error"
    assert known_code("a_newer_code") is ErrorCode.INTERNAL


def test_the_close_has_no_frame():
    assert Frames(IDS).write(Closed()) is None


def test_a_surface_may_call_a_failure_by_a_name_of_its_own():
    error = HeliconError(ErrorCode.TOO_MANY_CHATS, "Wait.")
    frames = [orjson.loads(error_frame(error, names)) for names in ({}, FRAME_CODES)]
    assert [(frame["code"], frame["status"]) for frame in frames] == [
        ("too_many_requests", 429),
        ("too_many_chats", 429),
    ]


def test_a_failure_before_there_is_a_run_has_the_same_fields():
    frame = orjson.loads(error_frame(HeliconError(ErrorCode.QUOTA_EXCEEDED, "Spent."), {}))
    assert isinstance(frame.pop("created_at"), int)
    assert frame == {
        "event": "error",
        "task_id": "",
        "message_id": "",
        "conversation_id": "",
        "code": "provider_quota_exceeded",
        "message": "Spent.",
        "status": 400,
    }


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.decimals(0, 100, places=5), st.decimals(0, 100, places=5))
def test_prices_are_plain_decimals_whatever_is_used(prompt: int, completion: int, price, other):
    usage = Usage(prompt, completion, prompt_unit_price=str(price), completion_unit_price=str(other))
    for name, value in usage_fields(usage).items():
        if name.endswith("_price") and "unit" not in name:
            assert set(value) <= set("0123456789.")
