"""Each surface has words for every failure."""

import orjson
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from services.gateway.errors import handle_errors
from services.gateway.muse import errors as muse_errors
from services.gateway.streaming.errors import STATUSES
from services.gateway.v1 import errors as v1_errors
from shared.domain.errors import ErrorCode, HeliconError

MUSE_WORDS = {
    210005: "db write fail",
    210006: "db query fail",
    210008: "not login",
    210011: "forbidden",
    210009: "param error",
    210012: "not found",
    210014: "method not allowed",
    210010: "config error",
    210013: "too many requests",
    1: "err unknown",
}
"""Of the table in `spec/muse.md`."""


@pytest.mark.parametrize("table", [STATUSES, muse_errors.ANSWERS])
def test_every_code_has_its_place_in_the_table_of_each_surface(table):
    assert set(table) == set(ErrorCode)


@pytest.mark.requirement("muse.code.table")
@pytest.mark.parametrize(
    ("code", "status", "number"),
    [
        (ErrorCode.DATABASE_WRITE_FAILED, 503, 210005),
        (ErrorCode.DATABASE_READ_FAILED, 503, 210006),
        (ErrorCode.UNAUTHORIZED, 401, 210008),
        (ErrorCode.FORBIDDEN, 403, 210011),
        (ErrorCode.INVALID_PARAM, 400, 210009),
        (ErrorCode.BAD_REQUEST, 400, 210009),
        (ErrorCode.NOT_FOUND, 404, 210012),
        (ErrorCode.METHOD_NOT_ALLOWED, 405, 210014),
        (ErrorCode.MCP_SERVER_UNUSABLE, 400, 210010),
        (ErrorCode.RATE_LIMITED, 429, 210013),
        (ErrorCode.INTERNAL, 500, 1),
    ],
)
def test_the_muse_api_answers_as_its_table_says(code: ErrorCode, status: int, number: int):
    response = muse_errors.respond(HeliconError(code, "Why."))
    assert response.status_code == status
    assert orjson.loads(response.data) == {"code": number, "msg": f"{MUSE_WORDS[number]}: Why.", "data": None}


@pytest.mark.requirement("muse.code.table")
@pytest.mark.parametrize("code", ErrorCode)
def test_numbers_of_the_muse_api_have_the_words_of_its_table(code: ErrorCode):
    _, number, words = muse_errors.ANSWERS[code]
    assert words == MUSE_WORDS[number]


@pytest.mark.parametrize("code", ErrorCode)
def test_v1_answers_with_code_message_and_status(code: ErrorCode):
    status, name = STATUSES[code]
    response = v1_errors.respond(HeliconError(code, "Why."))
    assert response.status_code == status
    assert orjson.loads(response.data) == {"code": name, "message": "Why.", "status": status}


def fail(error: Exception, respond) -> TestResponse:
    """What a client gets when a route raises `error`."""
    app = Flask("test")
    handle_errors(app, lambda _request: respond)

    @app.get("/")
    def route():
        raise error

    return app.test_client().get("/")


@pytest.mark.requirement("v1.errors.internal", "muse.code.unknown")
@pytest.mark.parametrize(
    ("respond", "answer"),
    [
        (
            v1_errors.respond,
            {"code": "internal_server_error", "message": "Something went wrong on our side.", "status": 500},
        ),
        (muse_errors.respond, {"code": 1, "msg": "err unknown: Something went wrong on our side.", "data": None}),
    ],
)
def test_what_nobody_foresaw_is_answered_without_a_word_of_it(respond, answer: dict):
    response = fail(RuntimeError("the password is hunter2 in /etc/secret"), respond)
    assert (response.status_code, response.json) == (500, answer)


def test_a_failure_that_passes_says_when_to_come_back():
    away = HeliconError(ErrorCode.QUEUE_UNAVAILABLE, "Away.", retry_after=0.2)
    assert fail(away, v1_errors.respond).headers["Retry-After"] == "1"


def test_a_request_without_a_key_is_told_where_one_belongs():
    response = fail(HeliconError(ErrorCode.UNAUTHORIZED, "No."), v1_errors.respond)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
