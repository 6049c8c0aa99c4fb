"""MCP servers in Postgres: secrets sealed one by one, and changes that come at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from books import audit
from services.gateway.usecases.mcp_servers import MOST_SERVERS, McpServers
from shared.contracts.mcp_servers import McpServer
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.engine import Database
from shared.store.mcp_servers import find_server
from shared.store.sealing import Sealer, WrongSecretKeyError

URL = {"url": "https://mcp.test/"}
ANN, BOB = "ann-0123456789-secret", "bob-0123456789-secret"
MASK_OF_ANN = "ann...cret"
SECRETIVE = {
    "command": "npx",
    "args": ["-y", "server", "--token", ANN, f"postgresql://a:{ANN}@db/"],
    "env": {"TOKEN": ANN, "OTHER": BOB, "EMPTY": ""},
    "headers": {"X-Key": ANN},
}


@pytest.fixture
def sealer() -> Sealer:
    return Sealer("a key for tests")


@pytest.fixture
def servers(database: Database, sealer: Sealer) -> McpServers:
    return McpServers(database, sealer, programs=True)


def opened(database: Database, sealer: Sealer, name: str) -> McpServer:
    with database.read() as session:
        record = find_server(session, name)
    assert record is not None
    return record.open(sealer)


def shown(servers: McpServers, name: str) -> dict[str, Any]:
    return servers.shown()["McpServers"][name]


def at_once(*changes: Callable[[], None]) -> list[HeliconError]:
    """Do all this at the same time: what was refused."""
    start = Barrier(len(changes))

    def attempt(change: Callable[[], None]) -> HeliconError | None:
        start.wait(30)
        try:
            change()
        except HeliconError as error:
            return error
        return None

    with ThreadPoolExecutor(len(changes)) as pool:
        return [error for error in pool.map(attempt, changes) if error]


def test_a_workers_key_opens_what_was_configured(servers: McpServers, database: Database, sealer: Sealer):
    servers.update("adm", "secretive", {**SECRETIVE, "type": "STDIO", "cwd": "/srv", "disabled": 1})
    assert opened(database, sealer, "secretive") == McpServer(
        **SECRETIVE,
        type="stdio",
        cwd="/srv",
        disabled=True,
    )


def test_no_secret_stands_in_the_database(servers: McpServers, database: Database):
    servers.update("adm", "secretive", SECRETIVE)
    servers.update("adm", "url", {"url": f"https://a:{ANN}@mcp.test/?key={BOB}"})
    with database.read() as session:
        rows = [str(row) for table in ("mcp_servers", "audit") for row in session.execute(text(f"TABLE {table}"))]
    assert len(rows) == 4
    assert [row for row in rows if ANN in row or BOB in row] == []


def test_a_secret_can_be_opened_at_its_place_alone(servers: McpServers, database: Database, sealer: Sealer):
    servers.update("adm", "a", {**URL, "headers": {"X-A": ANN, "X-B": BOB}})
    swapped = text(
        "UPDATE mcp_servers SET server = jsonb_set(server, '{sealed,headers.X-A}', server #> '{sealed,headers.X-B}')"
    )
    with database.write() as session:
        session.execute(swapped)
    with pytest.raises(WrongSecretKeyError):
        opened(database, sealer, "a")
    with pytest.raises(WrongSecretKeyError):
        opened(database, Sealer("another key"), "a")


def test_what_comes_back_masked_keeps_what_is_stored(servers: McpServers, database: Database, sealer: Sealer):
    servers.update("adm", "secretive", SECRETIVE)
    for _ in range(2):
        servers.update("adm", "secretive", shown(servers, "secretive"))
    assert opened(database, sealer, "secretive") == McpServer(**SECRETIVE, disabled=False)


def test_a_part_is_changed_and_the_rest_kept(servers: McpServers, database: Database, sealer: Sealer):
    servers.update("adm", "secretive", SECRETIVE)
    changed = shown(servers, "secretive")
    changed["env"] = {"TOKEN": MASK_OF_ANN, "NEW": BOB}
    changed["args"] = changed["args"][:4]
    del changed["headers"]
    servers.update("adm", "secretive", changed)
    server = opened(database, sealer, "secretive")
    assert (server.env, server.args) == ({"TOKEN": ANN, "NEW": BOB}, ["-y", "server", "--token", ANN])
    assert server.headers == {}


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("env.OTHER", {"env": {"OTHER": MASK_OF_ANN}}),
        ("env.NEW", {"env": {"NEW": MASK_OF_ANN}}),
        ("env.EMPTY", {"env": {"EMPTY": "***"}}),
        ("env.TOKEN", {"env": {"TOKEN": "***"}}),
        ("headers.TOKEN", {"headers": {"TOKEN": MASK_OF_ANN}}),
        ("args.2", {"args": ["-y", "--token", MASK_OF_ANN]}),
        ("args.0", {"args": [MASK_OF_ANN]}),
        ("args.4", {"args": ["-y", "server", "--token", ANN, f"postgresql://a:{MASK_OF_ANN}@other/"]}),
        ("url", {"command": None, "url": "https://a:***@mcp.test/"}),
    ],
)
def test_a_mask_of_something_else_is_refused_and_changes_nothing(
    servers: McpServers, database: Database, sealer: Sealer, place: str, change: dict[str, Any]
):
    servers.update("adm", "secretive", SECRETIVE)
    with pytest.raises(HeliconError) as refused:
        servers.update("adm", "secretive", {**shown(servers, "secretive"), **change})
    assert refused.value.code is ErrorCode.INVALID_PARAM
    assert refused.value.message.startswith(f"{place}: is masked")
    assert opened(database, sealer, "secretive") == McpServer(**SECRETIVE, disabled=False)
    assert len(audit(database, "secretive")) == 1


def test_a_mask_of_another_server_is_refused(servers: McpServers):
    servers.update("adm", "secretive", SECRETIVE)
    with pytest.raises(HeliconError, match="is masked"):
        servers.update("adm", "copy", shown(servers, "secretive"))
    assert list(servers.shown()["McpServers"]) == ["secretive"]


def test_a_url_whose_secret_is_masked_leads_nowhere_else(servers: McpServers, database: Database, sealer: Sealer):
    document = {"url": f"https://mcp.test/?key={ANN}"}
    servers.update("adm", "url", document)
    assert shown(servers, "url") == {"url": f"https://mcp.test/?key={MASK_OF_ANN}", "disabled": False}
    with pytest.raises(HeliconError, match="url: is masked"):
        servers.update("adm", "url", {"url": f"https://evil.test/?key={MASK_OF_ANN}"})
    assert opened(database, sealer, "url").url == document["url"]


def test_servers_that_are_set_at_once_are_all_kept(servers: McpServers):
    names = [f"s{number}" for number in range(20)]
    assert at_once(*(lambda name=name: servers.update("adm", name, URL) for name in names)) == []
    assert sorted(servers.shown()["McpServers"]) == sorted(names)


def test_changes_of_a_server_at_once_follow_one_another(servers: McpServers, database: Database, sealer: Sealer):
    servers.update("adm", "busy", {**URL, "headers": {"X-Key": ANN}})
    masked = {**URL, "headers": {"X-Key": MASK_OF_ANN}}
    updates = [lambda n=n: servers.update("adm", "busy", {**masked, "description": str(n)}) for n in range(10)]
    disables = [lambda n=n: servers.disable("adm", "busy", disabled=n % 2 == 0) for n in range(10)]
    assert at_once(*updates, *disables) == []
    entries = audit(database, "busy")
    assert {entry.new.get("description") for entry in entries[1:]} >= {str(n) for n in range(10)}
    assert [entry.old for entry in entries[1:]] == [entry.new for entry in entries[:-1]]
    assert shown(servers, "busy") == entries[-1].new
    assert opened(database, sealer, "busy").headers == {"X-Key": ANN}


def test_a_server_that_is_made_and_deleted_at_once_is_one_or_the_other(servers: McpServers, database: Database):
    deletes = [lambda: servers.delete("adm", "busy") for _ in range(10)]
    updates = [lambda: servers.update("adm", "busy", URL) for _ in range(10)]
    refused = at_once(*deletes, *updates)
    assert {error.code for error in refused} <= {ErrorCode.NOT_FOUND}
    entries = audit(database, "busy")
    assert len(entries) == 20 - len(refused)
    assert [entry.old for entry in entries] == [None, *(entry.new for entry in entries[:-1])]
    assert servers.shown()["McpServers"].get("busy") == entries[-1].new


def test_there_are_not_more_servers_than_workers_can_hold(servers: McpServers):
    for number in range(MOST_SERVERS - 2):
        servers.update("adm", f"s{number}", URL)
    refused = at_once(*(lambda name=name: servers.update("adm", name, URL) for name in "abcdefghij"))
    assert [error.code for error in refused] == [ErrorCode.MCP_SERVER_UNUSABLE] * 8
    assert len(servers.shown()["McpServers"]) == MOST_SERVERS
    servers.update("adm", "s0", {**URL, "description": "may still be changed"})
    servers.delete("adm", "s1")
    servers.update("adm", "again", URL)


def test_programs_that_were_set_while_they_were_run_have_failed_once_they_are_not(
    servers: McpServers, database: Database, sealer: Sealer
):
    for name in ("on", "off"):
        servers.update("adm", name, {"command": "uvx"})
    careful = McpServers(database, sealer, programs=False)
    careful.disable("adm", "off", disabled=True)
    states = {name: status["state"] for name, status in careful.shown()["status"].items()}
    assert states == {"on": "failed", "off": "disabled"}
    with pytest.raises(HeliconError, match="HELICON_MCP_STDIO") as refused:
        careful.disable("adm", "off", disabled=False)
    assert refused.value.code is ErrorCode.MCP_SERVER_UNUSABLE
    careful.delete("adm", "on")


def test_secrets_in_fields_that_nobody_knows_are_sealed_where_a_name_tells(
    servers: McpServers, database: Database, sealer: Sealer
):
    odd = {
        "oauth": {"clientId": "helicon", "clientSecret": ANN},
        "requestInit": {"headers": {"Authorization": BOB}, "retries": 3},
        "a/b~tokens": [ANN, {"deep": BOB}],
        "transport": "fast",
    }
    servers.update("adm", "odd", {**URL, **odd})
    masked = shown(servers, "odd")
    assert masked["oauth"] == {"clientId": "***", "clientSecret": MASK_OF_ANN}
    assert masked["requestInit"]["retries"] == 3
    assert (ANN in str(masked), BOB in str(masked)) == (False, False)
    assert "ann-0123456789" not in str([entry.new for entry in audit(database, "odd")])
    servers.update("adm", "odd", {**masked, "transport": "slow"})
    kept = opened(database, sealer, "odd").model_dump()
    assert {name: kept[name] for name in odd} == {**odd, "transport": "slow"}
    with pytest.raises(HeliconError, match="/oauth/clientSecret"):
        servers.update("adm", "odd", {**URL, "oauth": {"clientSecret": "bob...cret"}})
