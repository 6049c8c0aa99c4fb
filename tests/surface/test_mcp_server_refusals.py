"""`/mcp/*` with everything that is wrong: refused with its reason, and nothing is changed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from raw import request, send_raw
from shared.store.models import AuditEntry
from stack import Stack

NAME = "steady"
HEADERS = {"A": "key-0123456789-secret"}
STEADY = {"url": "https://mcp.test/", "headers": HEADERS}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def state(stack: Stack, admin: httpx.Client) -> tuple[object, int]:
    """All servers as they are shown, and how many changes were audited."""
    with stack.database.read() as session:
        changes = session.scalars(select(func.count()).select_from(AuditEntry)).one()
    return admin.get("/mcp/get").json(), changes


@pytest.fixture(scope="module")
def steady(stack: Stack) -> Iterator[httpx.Client]:
    """An administrator, and a server that stays as it is."""
    with stack.client(stack.admin_key) as admin:
        response = admin.post("/mcp/update", params={"name": NAME}, json=STEADY)
        assert response.status_code == 200, response.text
        yield admin
        admin.delete("/mcp/delete", params={"name": NAME})


@pytest.fixture
def admin(stack: Stack, steady: httpx.Client) -> Iterator[httpx.Client]:
    """An administrator whose requests change nothing."""
    before = state(stack, steady)
    yield steady
    assert state(stack, steady) == before


def refused(response: httpx.Response, status: int = 400, code: int = 210009) -> str:
    """The words of a refusal."""
    answer = response.json()
    assert (response.status_code, answer["code"], answer["data"]) == (status, code, None), answer
    return answer["msg"]


@pytest.mark.requirement("muse.code.config")
@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "neither command (a program) nor url is there"),
        ({"command": "uvx", "url": "https://mcp.test/"}, "command and url are both there"),
        ({"url": "https://mcp.test/", "type": "stdio"}, "type is stdio, which needs a command"),
        ({"command": "uvx", "type": "sse"}, "type is sse, which needs a url"),
        ({"url": "https://mcp.test/", "type": "ws"}, "type: is none of stdio, sse, http"),
        ({"url": "ftp://mcp.test/"}, "url: must be like https://host:port/path"),
        ({"url": "https://mcp.test/", "headers": {"A": "b\r\nC: d"}}, "headers: A: the value must be one line"),
        ({"url": "https://mcp.test/", "headers": {"A B": "c"}}, "headers: 'A B' can't be the name of a header"),
        ({"command": "npx -y server"}, "command: is the name of a program alone"),
        ({"mcpServers": {"a": {"url": "https://mcp.test/"}}}, "neither command"),
    ],
)
def test_a_configuration_that_can_not_be_used_says_why(admin: httpx.Client, document: dict[str, Any], words: str):
    message = refused(admin.post("/mcp/update", params={"name": NAME}, json=document), code=210010)
    assert message.startswith(f"config error: {words}")


@pytest.mark.requirement("muse.mcp-servers.update")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", 5),
        ("url", "https://mcp.test/" + "x" * 5000),
        ("type", 5),
        ("type", {"a": "b"}),
        ("args", "-y"),
        ("args", {"a": "b"}),
        ("env", [["A", "b"]]),
        ("env.A", {"A": None}),
        ("headers", "A: b"),
        ("headers.A", {"A": ["b"]}),
        ("description", ["a"]),
        ("description", "x" * 10_001),
        ("disabled", "perhaps"),
        ("disabled", -1),
        ("disabled", 10**30),
        ("the server", "a\0b"),
        ("the server", "x" * 70_000),
        ("the server", [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]),
    ],
)
def test_a_field_of_the_wrong_form_is_named(admin: httpx.Client, field: str, value: object):
    key = "unknown" if field == "the server" else field.partition(".")[0]
    message = refused(admin.post("/mcp/update", params={"name": NAME}, json={**STEADY, key: value}))
    assert message.startswith(f"param error: {field}: ")


@pytest.mark.requirement("muse.mcp-servers.update")
@pytest.mark.parametrize("name", [None, "", " ", "a b", "a__b", "_a", "x" * 33, "x" * 5000, "é", "-1", "../a", "llm"])
def test_a_name_that_can_not_be_is_refused(admin: httpx.Client, name: str | None):
    params = {} if name is None else {"name": name}
    assert "name: " in refused(admin.post("/mcp/update", params=params, json=STEADY))


@pytest.mark.requirement("muse.code.server-not-found")
@pytest.mark.parametrize(
    "name", ["nobody", "STEADY", " steady", "-1", "0", "*", "%", "' OR 1=1 --", "时间", "mcpServers"]
)
def test_an_unknown_server_is_not_found(admin: httpx.Client, name: str):
    assert refused(admin.delete("/mcp/delete", params={"name": name}), 404, 210012).startswith("not found: ")
    response = admin.post("/mcp/disable", params={"name": name, "disable": "1"})
    assert refused(response, 404, 210012).startswith("not found: ")


@pytest.mark.requirement("muse.mcp-servers.delete", "muse.mcp-servers.disable")
@pytest.mark.parametrize("params", [{}, {"name": ""}, {"name": "x" * 5000}, {"Name": NAME}, {"names": NAME}])
def test_a_server_must_be_named(admin: httpx.Client, params: dict[str, str]):
    assert "name: " in refused(admin.delete("/mcp/delete", params=params))
    assert "name: " in refused(admin.post("/mcp/disable", params={**params, "disable": "1"}))


@pytest.mark.requirement("muse.mcp-servers.disable")
@pytest.mark.parametrize("value", [None, "", " 1", "2", "-1", "01", "1.0", "true", "yes", "null", "9" * 400, "１"])  # noqa: RUF001
def test_disable_is_1_or_0_and_nothing_else(admin: httpx.Client, value: str | None):
    fields = {"name": NAME, **({} if value is None else {"disable": value})}
    for place in ("params", "data"):
        assert "disable: " in refused(admin.post("/mcp/disable", **{place: fields}))


@pytest.mark.parametrize(
    ("path", "right"), [("get", "GET"), ("update", "POST"), ("delete", "DELETE"), ("disable", "POST")]
)
def test_a_wrong_method_is_refused_with_the_one_that_is_right(admin: httpx.Client, path: str, right: str):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {right}:
        response = admin.request(method, f"/mcp/{path}", params={"name": NAME, "disable": "1"}, json=STEADY)
        refused(response, 405, 210014)
        assert right in response.headers["Allow"]


@pytest.mark.requirement("muse.mcp-servers.update")
@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_a_server_comes_as_json(admin: httpx.Client, kind: str):
    headers = {"Content-Type": kind} if kind else {}
    response = admin.post("/mcp/update", params={"name": NAME}, content=json.dumps(STEADY), headers=headers)
    assert "application/json is needed" in refused(response, 415)


@pytest.mark.requirement("muse.mcp-servers.disable")
def test_disable_takes_no_json(admin: httpx.Client):
    response = admin.post("/mcp/disable", params={"name": NAME}, json={"disable": "1"})
    assert "a form is needed" in refused(response, 415)


@pytest.mark.requirement("muse.mcp-servers.update")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"1",
        b"\xff",
        b'{"url": "\\ud800"}',
        b'{"url": "a\\u0000"}',
        b'{"url": "https://mcp.test/", "x": 1e400}',
        b'{"url": "https://mcp.test/", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"url": "https://mcp.test/", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_or_can_not_be_kept_is_refused(admin: httpx.Client, body: bytes):
    assert refused(admin.post("/mcp/update", params={"name": NAME}, content=body, headers=JSON))


def test_a_name_that_is_given_twice_is_refused(admin: httpx.Client):
    response = admin.delete("/mcp/delete", params=[("name", "nobody"), ("name", NAME)])
    assert "name: given 2 times" in refused(response)


@pytest.mark.requirement("muse.mcp-servers.update")
def test_the_last_of_repeated_fields_is_meant(admin: httpx.Client):
    body = b'{"url": "https://mcp.test/", "url": "ftp://mcp.test/"}'
    response = admin.post("/mcp/update", params={"name": NAME}, content=body, headers=JSON)
    assert "url: must be like" in refused(response, code=210010)


@pytest.mark.parametrize("name", ["a%00b", "%FF", "%ED%A0%80"])
@pytest.mark.parametrize(("method", "path"), [("POST", "update"), ("DELETE", "delete"), ("POST", "disable")])
def test_a_name_that_is_no_text_is_a_bad_request(stack: Stack, admin: httpx.Client, method: str, path: str, name: str):
    sent = request(
        method, f"/mcp/{path}?disable=1&name={name}", stack.admin_key, b"{}", Content_Type="application/json"
    )
    response = send_raw(stack.base_url, sent)
    assert (response.status, json.loads(response.body)["code"]) == (400, 210009)


def test_a_form_with_a_nul_is_refused(admin: httpx.Client):
    response = admin.post("/mcp/disable", content=b"disable=1&name=a%00b", headers=FORM)
    assert "NUL" in refused(response)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["type", "command", "args", "env", "url", "headers", "description", "disabled", "x"])


@pytest.mark.requirement("muse.mcp-servers.update", "ops.bad.random")
@RANDOM
@given(known=st.sampled_from([{}, {"url": "https://mcp.test/"}]), fields=st.dictionaries(FIELDS, VALUES, max_size=4))
def test_random_servers_are_stored_or_refused(steady: httpx.Client, known: dict[str, Any], fields: dict[str, Any]):
    response = steady.post(
        "/mcp/update", params={"name": "random"}, content=json.dumps({**fields, **known}), headers=JSON
    )
    assert response.status_code in {200, 400}, response.text
    steady.delete("/mcp/delete", params={"name": "random"})
    assert steady.get("/mcp/get").status_code == 200
