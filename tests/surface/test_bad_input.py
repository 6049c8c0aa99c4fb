"""Whatever is sent: a clear 4xx or an answer, never a 5xx, and nothing is left behind."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raw import request, send_raw
from stack import Stack
from talk import CHATS

RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = {"Content-Type": "application/json"}
TASK = "01a1fd57-2ea4-7659-965f-98c7e6aa0e12"
EVENTS = f"{CHATS}/{TASK}/events"
DEEP = b'{"query": "Hi", "user": "a", "inputs": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}"
FORM = "application/x-www-form-urlencoded"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n--x--\r\n'


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize(
    "target",
    [
        f"{CHATS}/%00/events?user=a",
        f"{CHATS}/a%00b/events?user=a",
        f"{EVENTS}?user=a%00",
        f"{EVENTS}?user=%FF",
        f"{EVENTS}?user=%ED%A0%80",
        f"{EVENTS}?%FF=a",
        f"{CHATS}/%FF%FE/events?user=a",
    ],
)
def test_a_path_or_query_that_is_no_text_is_a_bad_request(stack: Stack, target: str):
    response = send_raw(stack.base_url, request("GET", target, stack.app_key))
    assert response.status == 400
    assert json.loads(response.body)["code"] in {"bad_request", "invalid_param"}


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize("target", [b"/\xff/events?user=a", b"?a=\xff\xfe", b"?a=\0", b"\0", b"?a=\x01"])
def test_bytes_that_no_request_line_may_have_are_refused(stack: Stack, target: bytes):
    response = send_raw(stack.base_url, request("GET", CHATS.encode() + target, stack.app_key))
    assert 400 <= response.status < 500


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize("query", ["prompt=%00&user_id=a", "prompt=Hi&user_id=%FF", "prompt=%ED%A0%80&user_id=a"])
def test_communicate_refuses_a_query_that_is_no_text_too(stack: Stack, query: str):
    response = send_raw(stack.base_url, request("POST", f"/communicate?{query}", stack.app_key))
    assert (response.status, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize("name", ["Authorization", "X-Request-Id", "Idempotency-Key", "Last-Event-ID", "Content-Type"])
@pytest.mark.parametrize("value", ["a\0b", "\xff\xfe", "\xed\xa0\x80", "x" * 5000, "a\x7fb", "a\x01b"])
def test_a_header_that_is_no_text_is_refused_or_of_no_effect(stack: Stack, user: str, name: str, value: str):
    body = json.dumps({"query": "Hi", "user": user}).encode()
    headers = {"Content_Type": "application/json", name.replace("-", "_"): value}
    response = send_raw(stack.base_url, request("POST", CHATS, stack.app_key, body, **headers))
    assert response.status == 200 or 400 <= response.status < 500


@pytest.mark.requirement("ops.bad.query")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", EVENTS), ("POST", CHATS), ("POST", "/communicate"), ("GET", "/nothing")]
)
def test_a_megabyte_of_query_is_too_long(stack: Stack, method: str, path: str):
    target = f"{path}?user=a&prompt=".ljust(1024 * 1024, "x")
    response = send_raw(stack.base_url, request(method, target, stack.app_key))
    assert response.status == 414


@pytest.mark.requirement("ops.bad.depth")
@pytest.mark.parametrize("path", [CHATS, f"{CHATS}/{TASK}/stop", "/communicate"])
def test_json_10000_deep_is_a_bad_request(client: httpx.Client, path: str):
    response = client.post(path, content=DEEP, headers=JSON)
    assert response.status_code == 400
    assert "JSON" in response.text


@pytest.mark.requirement("ops.bad.depth")
@pytest.mark.parametrize("depth", [100, 200, 250, 300, 500, 1000])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "deep"}])
@pytest.mark.parametrize("field", ["inputs", "unknown"])
def test_json_that_is_deep_but_readable_is_answered_or_refused(
    client: httpx.Client, user: str, depth: int, headers: dict[str, str], field: str
):
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    body = b'{"query": "Hi", "user": "%b", "%b": %b}' % (user.encode(), field.encode(), deep)
    response = client.post(CHATS, content=body, headers={**JSON, **headers})
    assert response.status_code in {200, 400}


@pytest.mark.requirement("ops.bad.numbers")
@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "9" * 400, "-" + "9" * 30, "18446744073709551616", "1e308", "0.0"]
)
@pytest.mark.parametrize("field", ["query", "user", "inputs", "conversation_id", "response_mode"])
def test_a_number_out_of_range_is_refused(client: httpx.Client, field: str, number: str):
    fields = {"query": '"Hi"', "user": '"a"', field: number}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    response = client.post(CHATS, content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["code"] in {"bad_request", "invalid_param"}


@pytest.mark.requirement("ops.bad.numbers")
@pytest.mark.parametrize("number", ["9" * 400, "1e400", "NaN", "-1", "9007199254740993", "0x10", "1_0"])
@pytest.mark.parametrize("place", ["after", "Last-Event-ID"])
def test_a_place_out_of_range_is_refused(client: httpx.Client, number: str, place: str):
    query, headers = {"user": "a"}, {}
    (query if place == "after" else headers)[place] = number
    response = client.get(EVENTS, params=query, headers=headers)
    assert response.status_code in {400, 404}


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "Hi", "user": "a\\u0000b"}',
        b'{"query": "Hi", "user": "a\0b"}',
        b'{"query": "Hi", "user": "\xff"}',
        b'{"query": "\xed\xa0\x80", "user": "a"}',
        b'{"query": "\\ud800", "user": "a"}',
        b'{"query": "Hi", "user": "a", "conversation_id": "\\u0000"}',
        b'{"query": "Hi", "user": "a", "response_mode": "\\u0000"}',
    ],
)
def test_a_body_of_v1_with_nul_or_invalid_text_is_refused(client: httpx.Client, body: bytes):
    response = client.post(CHATS, content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["code"] in {"bad_request", "invalid_param"}


@pytest.mark.requirement("ops.bad.nul", "ops.bad.utf8")
@pytest.mark.parametrize("field", ["user_id", "app_id"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/json", b'"a\\u0000b"'),
        ("application/json", b'"\xff"'),
        ("application/json", b'"\\ud800"'),
        (FORM, b"a%00b"),
        (FORM, b"%FF"),
        (FORM, b"\xff"),
        ("multipart/form-data; boundary=x", b"a\0b"),
        ("multipart/form-data; boundary=x", b"\xff"),
    ],
)
def test_a_body_of_communicate_with_nul_or_invalid_text_is_refused(
    admin: httpx.Client, field: str, kind: str, text: bytes
):
    name, query = field.encode(), {"prompt": "Hi", "user_id": "a"}
    query.pop(field, None)
    body = {
        "application/json": b'{"%b": %b}' % (name, text),
        FORM: b"%b=%b" % (name, text),
    }.get(kind, MULTIPART % (name, text))
    response = admin.post("/communicate", params=query, content=body, headers={"Content-Type": kind})
    assert 400 <= response.status_code < 500


@pytest.mark.requirement("ops.bad.utf8")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"prompt=%FF&user_id=a"),
        (FORM, b"prompt=\xff&user_id=a"),
        ("multipart/form-data; boundary=x", MULTIPART % (b"prompt", b"\xff")),
        ("application/json", b'{"prompt": "\xff"}'),
    ],
)
def test_a_prompt_that_is_no_text_is_refused(client: httpx.Client, kind: str, body: bytes):
    headers = {"Content-Type": kind}
    response = client.post("/communicate", params={"user_id": "a"}, content=body, headers=headers)
    assert response.status_code == 400


@pytest.mark.requirement("ops.bad.body")
@pytest.mark.parametrize("target", [CHATS, f"{CHATS}/{TASK}/stop", "/communicate?prompt=Hi&user_id=a"])
def test_a_body_over_the_limit_is_refused_before_it_is_sent(stack: Stack, target: str):
    headers = {"Content_Length": str(10**12), "Content_Type": "application/json"}
    response = send_raw(stack.base_url, request("POST", target, stack.app_key, **headers))
    assert response.status == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "1, 2", ""])
def test_a_length_that_is_none_is_refused(stack: Stack, length: str):
    sent = request("POST", CHATS, stack.app_key, Content_Length=length, Content_Type="application/json")
    assert 400 <= send_raw(stack.base_url, sent, half_close=True).status < 500


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_gateway_serves_on(stack: Stack, sent: bytes):
    with suppress(IndexError, ConnectionError):  # it may also be hung up on
        assert 400 <= send_raw(stack.base_url, sent, half_close=True).status < 500
    assert httpx.get(f"{stack.base_url}/healthz").status_code == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
V1_FIELDS = st.sampled_from(["query", "user", "inputs", "response_mode", "conversation_id", "files", "other"])
MUSE_FIELDS = st.sampled_from(["prompt", "user_id", "app_id", "file", "other"])
KNOWN = st.fixed_dictionaries(
    {}, optional={"query": st.just("Hi"), "user": st.just("fuzz"), "prompt": st.just("/help")}
)


def body_of(known: dict[str, Any], fields: dict[str, Any]) -> bytes:
    return json.dumps({**fields, **known}).encode()


@pytest.fixture(scope="module")
def fuzzed(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


@pytest.mark.requirement("ops.bad.random")
@RANDOM
@given(known=KNOWN, fields=st.dictionaries(V1_FIELDS, VALUES), key=st.none() | st.sampled_from(["a", "b"]))
def test_random_json_to_v1_is_never_a_fault_of_ours(
    fuzzed: httpx.Client, known: dict[str, Any], fields: dict[str, Any], key: str | None
):
    headers = {**JSON, **({"Idempotency-Key": key} if key else {})}
    response = fuzzed.post(CHATS, content=body_of(known, fields), headers=headers)
    assert response.status_code < 500, response.text


@pytest.mark.requirement("ops.bad.random")
@RANDOM
@given(known=KNOWN, fields=st.dictionaries(MUSE_FIELDS, VALUES))
def test_random_json_to_communicate_is_never_a_fault_of_ours(
    fuzzed: httpx.Client, known: dict[str, Any], fields: dict[str, Any]
):
    response = fuzzed.post("/communicate", content=body_of(known, fields), headers=JSON)
    assert response.status_code < 500, response.text


@pytest.mark.requirement("ops.bad.random")
@RANDOM
@given(
    path=st.sampled_from([CHATS, f"{CHATS}/{TASK}/stop", "/communicate?prompt=/help&user_id=a"]),
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", FORM, "multipart/form-data; boundary=x", "image/png", "x/y"]),
)
def test_random_bytes_are_never_a_fault_of_ours(fuzzed: httpx.Client, path: str, body: bytes, kind: str):
    response = fuzzed.post(path, content=body, headers={"Content-Type": kind})
    assert response.status_code < 500, response.text


@pytest.mark.requirement("ops.bad.random")
@RANDOM
@given(task=st.text(max_size=40), query=st.dictionaries(st.sampled_from(["user", "after"]), st.text(max_size=20)))
def test_random_paths_and_queries_are_never_a_fault_of_ours(fuzzed: httpx.Client, task: str, query: dict[str, str]):
    response = fuzzed.get(f"{CHATS}/{quote(task, safe='')}/events", params=query)
    assert response.status_code < 500, response.text
