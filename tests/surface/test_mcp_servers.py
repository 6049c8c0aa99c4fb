"""`/mcp/*`: servers are configured, shown with masks, disabled and removed."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uuid_utils.compat as uuids

from books import Audited, audit
from shared.store.mcp_servers import find_server
from shared.store.sealing import Sealer
from stack import Stack, wait_for

DONE = {"code": 0, "msg": "success", "data": ""}
KEY = "Bearer key-0123456789-secret"
MASKED_KEY = "Bea...cret"
URL = {"url": "https://mcp.test/"}
UNTRIED = {"state": "connecting", "tools": 0, "error": None, "checked_at": None}

Update = Callable[[str, dict[str, Any]], httpx.Response]


@pytest.fixture(scope="module")
def programs(stack: Stack) -> str:
    """A gateway that takes servers that are programs."""
    return stack.start_gateway("programs", HELICON_MCP_STDIO="on")


@pytest.fixture
def name(admin: httpx.Client) -> Iterator[str]:
    """The name of a server that nobody has set; removed at the end."""
    name = f"s-{uuids.uuid7().hex[-20:]}"
    yield name
    admin.delete("/mcp/delete", params={"name": name})


def update(client: httpx.Client, name: str, document: dict[str, Any], url: str = "") -> None:
    response = client.post(f"{url}/mcp/update", params={"name": name}, json=document)
    assert (response.status_code, response.json()) == (200, DONE)


def shown(client: httpx.Client, url: str = "") -> dict[str, Any]:
    response = client.get(f"{url}/mcp/get")
    answer = response.json()
    assert (response.status_code, answer["code"], answer["msg"]) == (200, 0, "success")
    assert set(answer["data"]) == {"McpServers", "status"}
    assert set(answer["data"]["McpServers"]) == set(answer["data"]["status"])
    return answer["data"]


def opened(stack: Stack, name: str) -> dict[str, Any]:
    """A server with its secrets, as a worker reads it."""
    with stack.database.read() as session:
        record = find_server(session, name)
    assert record is not None
    return record.open(Sealer(stack.environ["HELICON_SECRET_KEY"])).model_dump(exclude_unset=True)


@pytest.mark.requirement("muse.mcp-servers.get", "muse.mcp-servers.update")
def test_a_server_is_stored_and_shown_with_its_unknown_fields_and_its_state(admin: httpx.Client, name: str):
    document = {
        **URL,
        "type": "sse",
        "headers": {"Authorization": KEY, "X-Short": "short"},
        "description": "The time",
        "autoApprove": ["now"],
        "timeout": 2.5,
        "nothing": None,
    }
    update(admin, name, document)
    data = shown(admin)
    masked = {"Authorization": MASKED_KEY, "X-Short": "***"}
    assert data["McpServers"][name] == {**document, "headers": masked, "disabled": False}
    assert data["status"][name] == UNTRIED


@pytest.mark.requirement("muse.mcp-servers.update")
def test_an_update_takes_the_place_of_what_was_there(stack: Stack, admin: httpx.Client, name: str):
    update(admin, name, {**URL, "headers": {"A": KEY, "B": KEY}, "description": "old", "disabled": True, "x": 1})
    update(admin, name, {"url": "http://localhost:9/mcp", "headers": {"B": "new-0123456789-secret"}})
    assert opened(stack, name) == {
        "url": "http://localhost:9/mcp",
        "headers": {"B": "new-0123456789-secret"},
        "disabled": False,
    }


@pytest.mark.requirement("muse.mcp-servers.update")
def test_an_update_and_a_removal_are_audited_with_masks(stack: Stack, admin: httpx.Client, name: str):
    update(admin, name, {**URL, "headers": {"Authorization": KEY}})
    update(admin, name, URL)
    assert admin.delete("/mcp/delete", params={"name": name}).json() == DONE
    first = {**URL, "headers": {"Authorization": MASKED_KEY}, "disabled": False}
    second = {**URL, "disabled": False}
    actor = stack.admin_key[:12]
    assert audit(stack.database, name) == [
        Audited(actor, "mcp.update", None, first),
        Audited(actor, "mcp.update", first, second),
        Audited(actor, "mcp.delete", second, None),
    ]


@pytest.mark.requirement("muse.mcp-servers.types")
@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("stdio", "stdio"),
        ("STDIO", "stdio"),
        ("sse", "sse"),
        ("SSE", "sse"),
        ("http", "http"),
        ("HTTP", "http"),
        ("streamableHttp", "http"),
        ("streamable-http", "http"),
        ("streamable_http", "http"),
        ("Streamable HTTP", "http"),
    ],
)
def test_a_type_is_known_in_all_its_spellings(admin: httpx.Client, programs: str, name: str, spelling: str, kind: str):
    way = {"command": "uvx"} if kind == "stdio" else URL
    update(admin, name, {**way, "type": spelling}, programs)
    assert shown(admin)["McpServers"][name] == {**way, "type": kind, "disabled": False}


@pytest.mark.requirement("muse.mcp-servers.types")
@pytest.mark.parametrize("way", [URL, {"command": "uvx"}])
@pytest.mark.parametrize("empty", [{}, {"type": None}, {"type": ""}])
def test_without_a_type_command_or_url_say_it(
    admin: httpx.Client, programs: str, name: str, way: dict[str, Any], empty: dict[str, Any]
):
    update(admin, name, {**way, **empty}, programs)
    assert shown(admin)["McpServers"][name] == {**way, "disabled": False}


@pytest.mark.requirement("muse.mcp-servers.masked", "muse.mcp-servers.get")
def test_what_was_shown_can_be_sent_back_and_changes_nothing(
    stack: Stack, admin: httpx.Client, programs: str, name: str
):
    secretive = {
        "command": "npx",
        "args": ["server", "--api-key", "key-0123456789-secret", "--verbose"],
        "env": {"TOKEN": KEY, "EMPTY": ""},
    }
    update(admin, name, secretive, programs)
    masked = shown(admin)["McpServers"][name]
    assert masked == {
        "command": "npx",
        "args": ["server", "--api-key", "key...cret", "--verbose"],
        "env": {"TOKEN": MASKED_KEY, "EMPTY": ""},
        "disabled": False,
    }
    update(admin, name, masked, programs)
    assert opened(stack, name) == {**secretive, "disabled": False}
    update(admin, name, {**masked, "env": {"EMPTY": "full"}}, programs)
    assert opened(stack, name) == {**secretive, "env": {"EMPTY": "full"}, "disabled": False}


@pytest.mark.requirement("muse.mcp-servers.masked")
def test_a_mask_of_nothing_that_is_stored_is_refused(stack: Stack, admin: httpx.Client, name: str):
    update(admin, name, {**URL, "headers": {"A": KEY}})
    for headers in ({"B": MASKED_KEY}, {"A": "***"}, {"A": MASKED_KEY, "B": "key...0000"}):
        response = admin.post("/mcp/update", params={"name": name}, json={**URL, "headers": headers})
        assert (response.status_code, response.json()["code"]) == (400, 210009)
        assert "is masked, and not as what is stored" in response.json()["msg"]
    assert opened(stack, name) == {**URL, "headers": {"A": KEY}, "disabled": False}


@pytest.mark.requirement("muse.mcp-servers.masked")
def test_the_secrets_of_a_url_are_masked_and_kept(stack: Stack, admin: httpx.Client, name: str):
    document = {"url": "https://ann:word@mcp.test/sse?key=key-0123456789-secret"}
    update(admin, name, document)
    masked = shown(admin)["McpServers"][name]
    assert masked["url"] == "https://ann:***@mcp.test/sse?key=key...cret"
    update(admin, name, {**masked, "description": "changed"})
    assert opened(stack, name) == {**document, "description": "changed", "disabled": False}


@pytest.mark.requirement("muse.mcp-servers.delete", "muse.code.server-not-found")
def test_a_server_that_was_deleted_is_unknown(admin: httpx.Client, name: str):
    update(admin, name, URL)
    assert admin.delete("/mcp/delete", params={"name": name}).json() == DONE
    assert name not in shown(admin)["McpServers"]
    response = admin.delete("/mcp/delete", params={"name": name})
    message = f"not found: There is no MCP server {name!r}."
    assert (response.status_code, response.json()) == (404, {"code": 210012, "msg": message, "data": None})


@pytest.mark.requirement("muse.mcp-servers.disable")
@pytest.mark.parametrize("place", ["params", "data"])
def test_a_server_is_disabled_and_enabled_again(stack: Stack, admin: httpx.Client, name: str, place: str):
    update(admin, name, {**URL, "headers": {"A": KEY}})
    for disable, state in [("1", "disabled"), ("1", "disabled"), ("0", "connecting"), ("0", "connecting")]:
        response = admin.post("/mcp/disable", **{place: {"name": name, "disable": disable}})
        assert (response.status_code, response.json()) == (200, DONE)
        data = shown(admin)
        assert data["status"][name] == {**UNTRIED, "state": state}
        assert data["McpServers"][name]["disabled"] is (disable == "1")
    assert opened(stack, name)["headers"] == {"A": KEY}
    changes = [
        (entry.action, entry.old["disabled"], entry.new["disabled"]) for entry in audit(stack.database, name)[1:]
    ]
    assert changes == [("mcp.disable", False, True), ("mcp.disable", True, False)]


@pytest.mark.requirement("muse.mcp-servers.disable", "muse.mcp-servers.update")
def test_a_server_that_is_set_disabled_is(admin: httpx.Client, name: str):
    update(admin, name, {**URL, "disabled": "true"})
    data = shown(admin)
    assert (data["McpServers"][name], data["status"][name]["state"]) == ({**URL, "disabled": True}, "disabled")


@pytest.mark.requirement("muse.mcp-servers.stdio", "muse.code.config")
def test_a_program_is_refused_unless_the_setting_is_on(admin: httpx.Client, programs: str, name: str):
    response = admin.post("/mcp/update", params={"name": name}, json={"command": "uvx", "args": ["mcp-server-time"]})
    assert (response.status_code, response.json()["code"]) == (400, 210010)
    assert "HELICON_MCP_STDIO" in response.json()["msg"]
    assert name not in shown(admin)["McpServers"]
    update(admin, name, {"command": "uvx", "args": ["mcp-server-time"]}, programs)
    assert shown(admin, programs)["status"][name] == UNTRIED
    refused = shown(admin)["status"][name]
    assert (refused["state"], "HELICON_MCP_STDIO" in refused["error"]) == ("failed", True)


@pytest.mark.requirement("muse.mcp-servers.stdio")
def test_only_admin_keys_may_set_a_server(client: httpx.Client, admin: httpx.Client, programs: str, name: str):
    for method, path in [("GET", "get"), ("POST", "update"), ("DELETE", "delete"), ("POST", "disable")]:
        query = {"name": name, "disable": "1"}
        response = client.request(method, f"{programs}/mcp/{path}", params=query, json={"command": "uvx"})
        assert (response.status_code, response.json()["code"]) == (403, 210011)
        response = httpx.request(method, f"{programs}/mcp/{path}", params=query, json={"command": "uvx"})
        assert (response.status_code, response.json()["code"]) == (401, 210008)
    assert name not in shown(admin)["McpServers"]


@pytest.mark.requirement("muse.mcp-servers.stdio")
def test_without_auth_no_web_page_may_set_a_server(stack: Stack, admin: httpx.Client, unlocked: str, name: str):
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        response = httpx.post(f"{unlocked}/mcp/update", params={"name": name}, json=URL, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, 210011)
    assert name not in shown(admin)["McpServers"]
    with httpx.Client() as nobody:
        update(nobody, name, URL, unlocked)
    assert [entry.actor for entry in audit(stack.database, name)] == [""]


@pytest.mark.requirement("muse.mcp-servers.masked")
def test_no_secret_is_logged(stack: Stack, admin: httpx.Client, name: str):
    secret = uuids.uuid7().hex
    update(admin, name, {"url": f"https://a:{secret}@mcp.test/?key={secret}", "headers": {"A": secret}})
    admin.post("/mcp/update", params={"name": name}, json={"url": f"ftp://a:{secret}@b", "headers": {"A": [secret]}})
    marker = uuids.uuid7().hex
    admin.get(f"/{marker}")
    wait_for(lambda: marker in stack.parts["gateway"].output, "all was logged")
    output = stack.parts["gateway"].output
    assert "/mcp/update" in output
    assert secret not in output
