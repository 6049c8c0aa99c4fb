"""The Muse API's JSON endpoints with whatever is wrong: answered as the table says, and nothing is changed.

An endpoint is a row of ENDPOINTS; what it can't take is a row of WRONG.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import func, select

from raw import request, send_raw
from shared.store.models import AuditEntry, LedgerEntry, LiveSetting, McpServer, Message, User
from stack import Stack

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
LONG = "x" * 300
HUGE = "9" * 400


class Endpoint(NamedTuple):
    """An endpoint, where its fields stand (params, data or json), and fields that it takes."""

    method: str
    path: str
    place: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ADD = Endpoint("POST", "/user/token/add", "json", {"user_id": "bad-input", "token": 5})
USERS = Endpoint("GET", "/user/list", "params", {"user_id": "bad-input", "page": "1"})
MODE = Endpoint("POST", "/user/update/mode", "data", {"user_id": "bad-input", "mode": "demo"})
RECORDS = Endpoint("GET", "/record/list", "params", {"user_id": "bad-input", "isDeleted": "1", "record_type": "0,3"})
CONF_UPDATE = Endpoint("POST", "/conf/update", "json", {"type": "base", "key": "lang", "value": "ru"})
CONF_RESET = Endpoint("POST", "/conf/reset", "json", {"type": "base", "key": "lang"})
MCP_DELETE = Endpoint("DELETE", "/mcp/delete", "params", {"name": "bad-input"})
MCP_DISABLE = Endpoint("POST", "/mcp/disable", "params", {"name": "bad-input", "disable": "1"})
MCP_UPDATE = Endpoint("POST", "/mcp/update", "params", {"name": "bad-input"})
READING = [Endpoint("GET", path, "params", {}) for path in ("/conf/get", "/command/get", "/mcp/get")]
ENDPOINTS = [ADD, USERS, MODE, RECORDS, CONF_UPDATE, CONF_RESET, MCP_DELETE, MCP_DISABLE, MCP_UPDATE, *READING]

NO_USER = ["", LONG, "a\0b", ["a"], {"a": "b"}, None]
NO_TEXT = [5, ["a"], {"a": "b"}, True, None]
NO_NUMBER = ["", "five", "1.5", 1.5, "0x10", True, [5], {"a": 5}, None, HUGE, "-" + HUGE, 10**15 + 1, -(10**15) - 1]
WRONG: list[tuple[Endpoint, str, Any]] = [
    *((ADD, "user_id", value) for value in [*NO_USER, True]),
    *((ADD, "token", value) for value in NO_NUMBER),
    *((ADD, "app_id", value) for value in [5, ["a"], {"a": "b"}, True, "a\0b"]),
    *((USERS, "page", value) for value in ["one", "1.5", "0x10", "9" * 5000, "1,2", "true", "null"]),
    *((USERS, "page_size", value) for value in ["ten", "1.5", "9" * 5000]),
    *((USERS, "pageSize", value) for value in ["ten", "1.5", "9" * 5000]),
    (USERS, "user_id", LONG),
    *((MODE, "user_id", value) for value in ["", LONG]),
    *((MODE, "mode", value) for value in ["", LONG]),
    *((RECORDS, "page", value) for value in ["one", "1.5"]),
    *((RECORDS, "isDeleted", value) for value in ["2", "-1", "true", HUGE]),
    *((RECORDS, "record_type", value) for value in ["6", "-1", "text", "0;3", "0,", ",", "0,9", HUGE]),
    (RECORDS, "user_id", LONG),
    *((CONF_UPDATE, "type", value) for value in [*NO_TEXT, "", "x"]),
    *((CONF_UPDATE, "key", value) for value in [*NO_TEXT, "", "x"]),
    *((CONF_RESET, "key", value) for value in [*NO_TEXT, "", "x"]),
    *((MCP_DISABLE, "disable", value) for value in ["", "2", "-1", "true", HUGE]),
]
NEEDED = [
    (endpoint, field)
    for endpoint in (ADD, MODE, CONF_UPDATE, CONF_RESET, MCP_DELETE, MCP_DISABLE, MCP_UPDATE)
    for field in endpoint.fields
]


def send(client: httpx.Client, endpoint: Endpoint, fields: dict[str, Any]) -> httpx.Response:
    places = {endpoint.place: fields}
    if endpoint is MCP_UPDATE:
        places["json"] = {"url": "https://mcp.test/"}
    return client.request(endpoint.method, endpoint.path, **places)


def refused(response: httpx.Response, status: int = 400, code: int = 210009, words: str = "param error") -> str:
    """What the message says beyond the words of its code."""
    answer = response.json()
    assert list(answer) == ["code", "msg", "data"]
    assert (response.status_code, answer["code"], answer["data"]) == (status, code, None), answer
    assert answer["msg"].startswith(f"{words}: ")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    return answer["msg"].removeprefix(f"{words}: ")


def rows(stack: Stack) -> dict[str, int]:
    with stack.database.read() as session:
        return {
            kind.__tablename__: session.scalars(select(func.count()).select_from(kind)).one()
            for kind in (User, LedgerEntry, AuditEntry, Message, LiveSetting, McpServer)
        }


@pytest.fixture(autouse=True)
def nothing_changed(stack: Stack) -> Iterator[None]:
    before = rows(stack)
    yield
    assert rows(stack) == before


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize(("endpoint", "field"), NEEDED, ids=str)
def test_a_field_that_is_missing_is_named(admin: httpx.Client, endpoint: Endpoint, field: str):
    fields = {name: value for name, value in endpoint.fields.items() if name != field}
    assert refused(send(admin, endpoint, fields)).startswith(f"{field}: ")


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize(("endpoint", "field", "value"), WRONG, ids=lambda value: str(value)[:20])
def test_a_field_that_can_not_be_used_is_named(admin: httpx.Client, endpoint: Endpoint, field: str, value: object):
    assert refused(send(admin, endpoint, {**endpoint.fields, field: value})).startswith(f"{field}: ")


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("endpoint", [ADD, USERS, MODE, RECORDS, CONF_RESET, MCP_DELETE, MCP_DISABLE], ids=str)
@pytest.mark.parametrize("field", ["user_id", "anything"])
def test_a_field_that_is_given_twice_is_refused(admin: httpx.Client, endpoint: Endpoint, field: str):
    places = {} if endpoint.place == "params" else {endpoint.place: endpoint.fields}
    response = admin.request(endpoint.method, f"{endpoint.path}?{field}=a&{field}=b", **places)
    assert refused(response) == f"{field}: given 2 times"


@pytest.mark.requirement("muse.code.param")
def test_a_field_that_is_twice_in_a_form_is_refused(admin: httpx.Client):
    response = admin.post("/user/update/mode", data={"user_id": ["bad-input", "ann"], "mode": "demo"})
    assert refused(response) == "user_id: given 2 times"


@pytest.mark.requirement("muse.code.not-found")
@pytest.mark.parametrize("endpoint", [ADD, USERS, MODE, RECORDS], ids=str)
def test_an_app_that_is_unknown_is_not_found(admin: httpx.Client, endpoint: Endpoint):
    response = send(admin, endpoint, {**endpoint.fields, "app_id": "nobody's"})
    assert refused(response, 404, 210012, "not found") == 'There is no app named "nobody\'s".'


@pytest.mark.requirement("muse.code.login", "muse.keys.admin")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer adm-wrong", "Basic YTpi", "Bearer " + LONG])
def test_without_a_key_or_with_a_wrong_one_nobody_gets_in(stack: Stack, endpoint: Endpoint, header: str | None):
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=stack.base_url, headers=headers, timeout=60) as nobody:
        response = send(nobody, endpoint, endpoint.fields)
    refused(response, 401, 210008, "not login")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.requirement("muse.code.forbidden", "muse.keys.admin")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_the_key_of_an_app_is_not_enough(client: httpx.Client, endpoint: Endpoint):
    assert "admin key" in refused(send(client, endpoint, endpoint.fields), 403, 210011, "forbidden")


@pytest.mark.requirement("muse.code.method")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_another_method_is_not_allowed(admin: httpx.Client, endpoint: Endpoint):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {endpoint.method}:
        response = admin.request(method, endpoint.path)
        refused(response, 405, 210014, "method not allowed")
        assert endpoint.method in response.headers["Allow"].split(", ")


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("endpoint", [ADD, CONF_UPDATE, CONF_RESET, MCP_UPDATE], ids=str)
@pytest.mark.parametrize("kind", [FORM, "text/plain", "multipart/form-data; boundary=x", None])
def test_what_is_no_json_is_refused(admin: httpx.Client, endpoint: Endpoint, kind: str | None):
    headers = {"Content-Type": kind} if kind else {}
    body = json.dumps(endpoint.fields).encode()
    params = {"name": "bad-input"}
    response = admin.request(endpoint.method, endpoint.path, params=params, content=body, headers=headers)
    refused(response, 415)


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("endpoint", [ADD, CONF_UPDATE, CONF_RESET, MCP_UPDATE], ids=str)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"a"', b"\xff", b'{"a":' * 10_000 + b"1" + b"}" * 10_000])
def test_json_that_is_no_object_is_refused(admin: httpx.Client, endpoint: Endpoint, body: bytes):
    headers, params = {"Content-Type": JSON}, {"name": "bad-input"}
    refused(admin.request(endpoint.method, endpoint.path, params=params, content=body, headers=headers))


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("kind", [JSON, "text/plain", None])
def test_what_is_no_form_is_refused(admin: httpx.Client, kind: str | None):
    headers = {"Content-Type": kind} if kind else {}
    refused(admin.post(MODE.path, content=json.dumps(MODE.fields).encode(), headers=headers), 415)


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("body", [b"user_id=a%00b&mode=demo", b"user_id=%FF&mode=demo", b"user_id=\xff&mode=demo"])
def test_a_form_that_is_no_text_is_refused(admin: httpx.Client, body: bytes):
    refused(admin.post(MODE.path, content=body, headers={"Content-Type": FORM}))


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("endpoint", [ADD, MODE, CONF_UPDATE, MCP_UPDATE], ids=str)
def test_a_body_over_the_limit_is_too_large(stack: Stack, endpoint: Endpoint):
    headers = {"Content_Length": str(10**12), "Content_Type": FORM if endpoint.place == "data" else JSON}
    response = send_raw(stack.base_url, request(endpoint.method, endpoint.path, stack.admin_key, **headers))
    assert (response.status, json.loads(response.body)["code"]) == (413, 210009)


@pytest.mark.requirement("muse.code.param")
@pytest.mark.parametrize("endpoint", [USERS, RECORDS, MCP_DELETE], ids=str)
@pytest.mark.parametrize("query", ["user_id=%00", "user_id=%FF", "name=%ED%A0%80", "%FF=a"])
def test_a_query_that_is_no_text_is_refused(stack: Stack, endpoint: Endpoint, query: str):
    response = send_raw(stack.base_url, request(endpoint.method, f"{endpoint.path}?{query}", stack.admin_key))
    assert (response.status, json.loads(response.body)["code"]) == (400, 210009)


@pytest.mark.parametrize("endpoint", [USERS, RECORDS, *READING], ids=str)
def test_fields_that_are_unknown_are_of_no_effect(admin: httpx.Client, endpoint: Endpoint):
    plain = admin.get(endpoint.path, params=endpoint.fields)
    assert plain.status_code == 200
    more = {**endpoint.fields, "unknown": "5", "order": "id; DROP TABLE users", "__proto__": "a"}
    assert admin.get(endpoint.path, params=more).json() == plain.json()
