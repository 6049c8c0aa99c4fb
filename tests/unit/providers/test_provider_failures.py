"""What vendors and the network say, and what it means."""

import ssl
from http import HTTPStatus
from types import SimpleNamespace

import aiohttp
import httpx
import orjson
import pytest

from services.worker.providers.base import Endpoint
from services.worker.providers.failures import LONGEST_MESSAGE, map_transport_error, refused, reported, scrub
from services.worker.providers.retry_after import retry_after_seconds
from shared.domain.errors import ErrorCode

KEY = "sk-very-secret-0123456789"
ENDPOINT = Endpoint("acme", "https://acme.test/v1", KEY)
FAILED, LIMITED = ErrorCode.PROVIDER_FAILED, ErrorCode.PROVIDER_RATE_LIMITED
NO_KEY, QUOTA, MODEL = ErrorCode.NO_PROVIDER_KEY, ErrorCode.PROVIDER_QUOTA_EXCEEDED, ErrorCode.MODEL_UNSUPPORTED
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
DATE_SECONDS = 1792567680.0


def facts(error):
    return error.code, error.message, error.retryable, error.retry_after


def answer(status, document, **headers):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return facts(refused(ENDPOINT, status, httpx.Headers(headers), body))


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, FAILED, False),
        (401, NO_KEY, False),
        (402, QUOTA, False),
        (403, NO_KEY, False),
        (404, MODEL, False),
        (405, FAILED, False),
        (408, FAILED, True),
        (409, FAILED, True),
        (413, FAILED, False),
        (422, FAILED, False),
        (429, LIMITED, True),
        (500, FAILED, True),
        (502, FAILED, True),
        (503, FAILED, True),
        (529, FAILED, True),
        (599, FAILED, True),
    ],
)
def test_a_status_has_its_code_and_tells_whether_to_try_again(status, code, retryable):
    said = answer(status, {"error": {"message": "no"}})
    assert said == (code, f"acme answered {status}: no", retryable, None)


def test_every_status_has_a_meaning():
    for status in HTTPStatus:
        assert answer(status.value, {})[0] in {FAILED, LIMITED, NO_KEY, QUOTA, MODEL}


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (
            429,
            {"error": {"message": "You exceeded", "type": "insufficient_quota", "code": "insufficient_quota"}},
            QUOTA,
        ),
        (400, {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}, QUOTA),
        (402, {"error": {"message": "Insufficient Balance"}}, QUOTA),
        (400, {"code": "Arrearage", "message": "Access denied"}, QUOTA),
        (403, {"error": {"code": "AccountOverdueError", "message": "overdue"}}, QUOTA),
        (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], NO_KEY),
        (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}, MODEL),
        (400, {"error": {"message": "acme/x is not a valid model ID", "code": 400}}, MODEL),
        (400, {"error": {"message": "?", "code": "model_not_found"}}, MODEL),
    ],
)
def test_what_a_vendor_says_goes_over_its_status(status, document, code):
    said = answer(status, document)
    assert (said[0], said[2]) == (code, False)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"error": {"message": "words"}}, "words"),
        ([{"error": {"message": "words"}}], "words"),
        ({"error": "words"}, "words"),
        ({"object": "error", "message": "words"}, "words"),
        ({"detail": "words"}, "words"),
        (b"words\n and\x00 more\t", "words and more"),
        (b"<html><body>Bad gateway</body></html>", ""),
        (b"", ""),
        (b"[]", ""),
        (b"[[[[]]]]", ""),
        (b"null", ""),
        ({"error": None, "detail": [{"loc": 1}]}, ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_words_are_found_in_each_form_of_an_error(document, message):
    assert answer(500, document)[1] == (f"acme answered 500: {message}" if message else "acme answered 500.")


def test_a_move_says_what_to_correct():
    assert answer(308, b"")[1] == "acme answered 308: it has moved; correct the provider's URL"


def test_a_key_is_never_shown():
    said = answer(401, {"error": {"message": f"Incorrect key {KEY}; Bearer abcdef; sk-other-123456; AIzaSyA-12345678"}})
    assert said[1] == "acme answered 401: Incorrect key ***; ***; ***; ***"


def test_a_key_is_taken_out_before_the_words_are_cut():
    words = scrub("x" * (LONGEST_MESSAGE - 10) + KEY * 3, KEY)
    assert (len(words), KEY[:6] in words) == (LONGEST_MESSAGE - 1, False)


def test_long_words_are_cut():
    assert scrub("é" * 10_000, "") == "é" * (LONGEST_MESSAGE - 1) + "…"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": DATE}, 100.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after_seconds(httpx.Headers(headers), lambda: DATE_SECONDS - 100) == seconds


def test_retry_after_comes_with_what_may_be_tried_again_only():
    headers = {"retry-after": "3"}
    assert (answer(429, {}, **headers)[3], answer(503, {}, **headers)[3], answer(400, {}, **headers)[3]) == (3, 3, None)


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"type": "overloaded_error", "message": "no"}, FAILED, True),
        ({"type": "rate_limit_error", "message": "no"}, LIMITED, True),
        ({"type": "authentication_error", "message": "no"}, NO_KEY, False),
        ({"type": "invalid_request_error", "message": "no"}, FAILED, False),
        ({"code": 429, "message": "no"}, LIMITED, True),
        ({"code": "502", "message": "no"}, FAILED, True),
        ({"type": "server_error", "code": None, "message": "no"}, FAILED, True),
        ({"message": "no"}, FAILED, False),
        ("no", FAILED, False),
    ],
)
def test_an_error_within_a_stream_means_what_its_status_would(error, code, retryable):
    assert facts(reported(ENDPOINT, error)) == (code, "acme reported an error: no", retryable, None)


CONNECTION = SimpleNamespace(host="acme.test", port=443, ssl=True)
REQUEST = SimpleNamespace(real_url="https://acme.test", headers={"Authorization": KEY})
REFUSED = OSError(111, "Connection refused")


@pytest.mark.parametrize(
    ("cause", "words", "retryable", "at_once"),
    [
        (aiohttp.ClientConnectorError(CONNECTION, REFUSED), "could not be reached: connection refused", True, False),
        (
            aiohttp.ClientConnectorDNSError(CONNECTION, REFUSED),
            "could not be reached: its name is not known",
            True,
            False,
        ),
        (
            aiohttp.ClientConnectorCertificateError(CONNECTION, ssl.SSLCertVerificationError(1, "bad")),
            "could not be reached: its certificate is not valid",
            False,
            False,
        ),
        (
            aiohttp.ClientProxyConnectionError(CONNECTION, REFUSED),
            "could not be reached: the proxy does not answer",
            True,
            False,
        ),
        (aiohttp.ConnectionTimeoutError("x"), "could not be reached: no connection in time", True, False),
        (aiohttp.ServerDisconnectedError(), "closed the connection before it answered", False, True),
        (aiohttp.ClientOSError(104, "reset"), "closed the connection before it answered", False, True),
        (aiohttp.ClientResponseError(REQUEST, ()), "sent a malformed answer: it is not HTTP", False, False),
        (httpx.InvalidURL("x"), "can't be called: its URL is not a valid one", False, False),
    ],
)
def test_the_cause_tells_never_reached_from_maybe_processed(cause, words, retryable, at_once):
    wrapped = httpx.ConnectTimeout("x")
    wrapped.__cause__ = cause
    error = map_transport_error(wrapped, ENDPOINT)
    assert (facts(error), error.at_once) == ((FAILED, f"acme {words}.", retryable, None), at_once)


def test_a_connection_that_ends_after_the_headers_is_a_cut():
    for cause in (aiohttp.ClientPayloadError("x"), aiohttp.ClientOSError(104, "reset")):
        wrapped = httpx.ReadError("x")
        wrapped.__cause__ = cause
        error = map_transport_error(wrapped, ENDPOINT, answered=True)
        assert facts(error) == (FAILED, "acme broke off: the answer was cut.", True, None)
