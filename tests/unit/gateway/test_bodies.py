"""What clients send is read with bounds."""

import io

import pytest
from flask import Flask, Request, request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from services.gateway.bodies import check_target, parse_object, read_body, read_json, validate
from services.gateway.v1.schemas import ChatMessageIn, EventsIn, UserIn
from shared.domain.errors import ErrorCode, HeliconError

APP = Flask("test")
APP.config["MAX_CONTENT_LENGTH"] = 100


def outcome(work) -> object:
    """What `work` gives, or the code that it fails with."""
    try:
        return work()
    except HeliconError as error:
        return error.code


def refused(work) -> ErrorCode:
    with pytest.raises(HeliconError) as error:
        work()
    return error.value.code


def reading(work, **asked) -> object:
    with APP.test_request_context("/", method="POST", **asked):
        return work(request)


def test_a_json_object_is_read():
    assert reading(read_json, json={"a": [1, "ü"]}) == {"a": [1, "ü"]}


def test_json_is_needed_where_it_is_needed():
    assert refused(lambda: reading(read_json, data=b"{}")) is ErrorCode.UNSUPPORTED_MEDIA_TYPE
    assert refused(lambda: reading(read_json, data=b"{}", content_type="text/plain")) is (
        ErrorCode.UNSUPPORTED_MEDIA_TYPE
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "\ufeff{}".encode(),
        b"{}" + b"\0",
    ],
)
def test_what_is_no_json_object_is_a_bad_request(body: bytes):
    assert refused(lambda: parse_object(body)) is ErrorCode.BAD_REQUEST


@given(st.binary())
def test_any_bytes_are_an_object_or_a_bad_request(body: bytes):
    read = outcome(lambda: parse_object(body))
    assert isinstance(read, dict) or read is ErrorCode.BAD_REQUEST


def test_a_body_over_the_limit_is_refused():
    assert refused(lambda: reading(read_body, data=b"x" * 101)) is ErrorCode.BODY_TOO_LARGE
    assert reading(read_body, data=b"x" * 100) == b"x" * 100


def test_a_body_that_ends_before_its_length_broke_off():
    broken = {"input_stream": io.BytesIO(b"half"), "environ_overrides": {"CONTENT_LENGTH": "8"}}
    assert refused(lambda: reading(read_body, **broken)) is ErrorCode.BODY_BROKEN_OFF


def target(path: str, query: bytes = b"", raw: str = "") -> Request:
    environ = {"PATH_INFO": path, "QUERY_STRING": query.decode("latin-1"), "RAW_URI": raw, "REQUEST_METHOD": "GET"}
    return Request({**environ, "SERVER_NAME": "test", "SERVER_PORT": "80", "wsgi.url_scheme": "http"})


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (target("/a\0b"), ErrorCode.BAD_REQUEST),
        (target("/\xff"), ErrorCode.BAD_REQUEST),
        (target("/", b"a=%00"), ErrorCode.BAD_REQUEST),
        (target("/", b"a=%ff"), ErrorCode.BAD_REQUEST),
        (target("/", b"a=\xff"), ErrorCode.BAD_REQUEST),
        (target("/", b"a=%ed%a0%80"), ErrorCode.BAD_REQUEST),
        (target("/", b"a" * 100), ErrorCode.URI_TOO_LONG),
        (target("/", raw="/?" + "a" * 99), ErrorCode.URI_TOO_LONG),
    ],
)
def test_a_target_that_is_no_text_or_too_long_is_refused(asked: Request, code: ErrorCode):
    assert refused(lambda: check_target(asked, 100)) is code


def test_a_target_up_to_the_limit_is_admitted():
    check_target(target("/", b"a=%C3%BC", raw="/?" + "a" * 98), 100)


@given(st.text(st.characters(codec="latin-1")), st.binary())
def test_any_target_is_admitted_or_refused(path: str, query: bytes):
    checked = outcome(lambda: check_target(target(path, query), 100))
    assert checked in {None, ErrorCode.BAD_REQUEST, ErrorCode.URI_TOO_LONG}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (UserIn, {}, "Arg user must be provided."),
        (UserIn, {"user": None}, "Arg user must be provided."),
        (UserIn, {"user": ""}, "Arg user must be provided."),
        (UserIn, {"user": 1}, "user: Input should be a valid string"),
        (UserIn, {"user": "a\0"}, "user: must not have a NUL character"),
        (ChatMessageIn, {"user": "a"}, "query: Field required"),
        (ChatMessageIn, {"user": "a", "query": " \0\n"}, "query: must not be blank"),
        (EventsIn, {"user": "a", "after": "-1"}, "after: Input should be greater than or equal to 0"),
    ],
)
def test_the_first_field_that_does_not_fit_is_named(kind: type[BaseModel], fields: dict, message: str):
    with pytest.raises(HeliconError) as error:
        validate(kind, fields)
    assert (error.value.code, error.value.message) == (ErrorCode.INVALID_PARAM, message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["query", "user", "inputs", "response_mode", "conversation_id", "files"])


@given(st.dictionaries(FIELDS, JSON))
def test_any_fields_are_a_chat_or_a_bad_parameter(fields: dict):
    asked = outcome(lambda: validate(ChatMessageIn, fields))
    if isinstance(asked, ChatMessageIn):
        assert asked.query.strip()
    else:
        assert asked is ErrorCode.INVALID_PARAM
