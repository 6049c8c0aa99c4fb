"""What `/v1` answers to requests that it can't serve."""

import json
from typing import Any

import httpx
import pytest

from raw import request, send_raw
from stack import Stack
from talk import CHATS, post

STOP = f"{CHATS}/01a1fd57-2ea4-7659-965f-98c7e6aa0e12/stop"
EVENTS = f"{CHATS}/01a1fd57-2ea4-7659-965f-98c7e6aa0e12/events"
GOOD = b'{"query": "Hi", "user": "a"}'
JSON = {"Content-Type": "application/json"}


def told(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message; the answer has no more than them."""
    fields = response.json()
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert fields == {"code": fields["code"], "message": fields["message"], "status": response.status_code}
    return fields["status"], fields["code"], fields["message"]


@pytest.mark.requirement("v1.errors.path", "v1.errors.shape")
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", f"{CHATS}/x/y/z", "/v1/chat-messages2", "/v1/ü"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(client: httpx.Client, path: str, method: str):
    assert told(client.request(method, path))[:2] == (404, "not_found")


@pytest.mark.requirement("v1.errors.method")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHATS, {"POST"}),
        ("DELETE", CHATS, {"POST"}),
        ("PATCH", CHATS, {"POST"}),
        ("GET", STOP, {"POST"}),
        ("POST", EVENTS, {"GET"}),
    ],
)
def test_a_wrong_method_is_refused_with_those_that_are_right(
    client: httpx.Client, method: str, path: str, allowed: set[str]
):
    response = client.request(method, path)
    assert told(response)[:2] == (405, "method_not_allowed")
    assert {name.strip() for name in response.headers["Allow"].split(",")} - {"OPTIONS", "HEAD"} == allowed


@pytest.mark.requirement("v1.errors.json")
@pytest.mark.parametrize("path", [CHATS, STOP])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"1", b'"a"', b"{'a': 1}", GOOD + b"}", b"\xff\xfe", b"\0"]
)
def test_a_body_that_is_no_json_object_is_a_bad_request(client: httpx.Client, path: str, body: bytes):
    assert told(client.post(path, content=body, headers=JSON))[:2] == (400, "bad_request")


@pytest.mark.requirement("v1.errors.media-type")
@pytest.mark.parametrize("path", [CHATS, STOP])
@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"]
)
def test_something_else_than_json_is_refused(client: httpx.Client, path: str, kind: str | None):
    headers = {} if kind is None else {"Content-Type": kind}
    assert told(client.post(path, content=GOOD, headers=headers))[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json"])
def test_json_is_taken_under_all_its_names(client: httpx.Client, user: str, kind: str):
    body = GOOD.replace(b'"a"', f'"{user}"'.encode())
    assert client.post(CHATS, content=body, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.requirement("v1.errors.field", "v1.chat.query", "v1.chat.mode-values", "v1.ids.body")
@pytest.mark.parametrize("mode", [{}, {"response_mode": "streaming"}])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", None), ("query", ""), ("query", " \n\t"), ("query", "\0"), ("query", 1), ("query", ["Hi"]),
        ("query", {"text": "Hi"}), ("query", True),
        ("inputs", []), ("inputs", "x"), ("inputs", 1), ("inputs", True),
        ("response_mode", "x"), ("response_mode", ""), ("response_mode", 1), ("response_mode", ["streaming"]),
        ("conversation_id", "x"), ("conversation_id", 1), ("conversation_id", []), ("conversation_id", {}),
        ("conversation_id", "01a1fd57-2ea4-7659-965f"), ("conversation_id", True),
        ("user", 1), ("user", []), ("user", {}), ("user", True), ("user", "a\0b"), ("user", "x" * 256),
    ],
)  # fmt: skip
def test_a_bad_field_is_refused_by_its_name(
    client: httpx.Client, user: str, field: str, value: object, mode: dict[str, str]
):
    fields: dict[str, Any] = {"query": "Hi", "user": user, **mode, field: value}
    status, code, message = told(client.post(CHATS, json=fields))
    assert (status, code) == (400, "invalid_param")
    assert message.startswith(f"{field}: ")


@pytest.mark.requirement("v1.errors.field", "v1.chat.query")
def test_a_missing_query_is_refused_by_its_name(client: httpx.Client, user: str):
    status, code, message = told(client.post(CHATS, json={"user": user}))
    assert (status, code) == (400, "invalid_param")
    assert message.startswith("query: ")


@pytest.mark.requirement("v1.user.required-chat")
@pytest.mark.parametrize("fields", [{}, {"user": None}, {"user": ""}])
def test_a_chat_names_its_user(client: httpx.Client, fields: dict[str, Any]):
    response = client.post(CHATS, json={"query": "Hi", **fields})
    assert told(response) == (400, "invalid_param", "Arg user must be provided.")


@pytest.mark.requirement("v1.errors.too-large")
@pytest.mark.parametrize("path", [CHATS, STOP])
def test_a_body_over_the_limit_is_too_large(client: httpx.Client, tuned: str, path: str):
    body = GOOD.replace(b"Hi", b"x" * 100_001)
    response = httpx.post(tuned + path, content=body, headers={**client.headers, **JSON})
    status, code, message = told(response)
    assert (status, code) == (413, "request_entity_too_large")
    assert "100000" in message


@pytest.mark.requirement("v1.errors.too-large")
def test_a_body_of_unknown_length_over_the_limit_is_too_large(client: httpx.Client, tuned: str):
    pieces = (b"x" * 1000 for _ in range(200))
    response = httpx.post(tuned + CHATS, content=pieces, headers={**client.headers, **JSON})
    assert told(response)[:2] == (413, "request_entity_too_large")


@pytest.mark.requirement("v1.errors.too-long")
def test_a_target_over_the_limit_is_too_long(stack: Stack):
    fits = send_raw(stack.base_url, request("GET", f"{EVENTS}?user=".ljust(65_536, "x"), stack.app_key))
    over = send_raw(stack.base_url, request("GET", f"{EVENTS}?user=".ljust(65_537, "x"), stack.app_key))
    assert (fits.status, json.loads(fits.body)["code"]) == (400, "invalid_param")
    fields = json.loads(over.body)
    assert (over.status, fields["code"], fields["status"]) == (414, "request_uri_too_long", 414)
    assert "65536" in fields["message"]


@pytest.mark.requirement("v1.json", "v1.errors.field")
def test_an_error_is_not_escaped_either(client: httpx.Client, user: str):
    response = client.get(EVENTS, params={"user": user, "after": "größer"})
    assert b"\\u" not in response.content


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_of_unknown_length_is_taken(client: httpx.Client, user: str, size: int):
    body = json.dumps({"query": "amber " * 300, "user": user}).encode()
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    assert client.post(CHATS, content=pieces, headers=JSON).status_code == 200


def test_a_long_query_is_taken(client: httpx.Client, user: str):
    query = "amber " * 900
    assert post(client, user, query).json()["answer"].startswith("Demo answer to: amber amber")


@pytest.mark.requirement("v1.errors.json")
def test_a_body_whose_chunks_make_no_sense_is_a_bad_request(stack: Stack):
    head = (
        f"POST {CHATS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {stack.app_key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    answer = send_raw(stack.base_url, head.encode() + b"zz\r\nfoo", half_close=True)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad_request")
