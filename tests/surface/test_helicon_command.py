"""The `helicon` command: apps, keys and users, and each part in the foreground."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from click.testing import CliRunner

from books import balance
from launched import LaunchedUp
from neighbours import MakeApp, Servers, app_of, make_database
from servers import temporary_folder
from services.launcher import cli
from stack import Part, Stack, free_port, wait_for
from talk import ask, calls, communicate, shown, text_of


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Helicon = Callable[..., Outcome]


@pytest.fixture
def helicon(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Helicon:
    """Runs a command on the stack's database."""
    monkeypatch.setenv("HELICON_DATABASE_URL", stack.environ["HELICON_DATABASE_URL"])

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["helicon", *arguments])
        capsys.readouterr()
        code = cli.main()
        return Outcome(code, *capsys.readouterr())

    return run


def done(outcome: Outcome) -> Any:
    assert (outcome.code, outcome.err) == (0, "")
    try:
        return json.loads(outcome.out)
    except ValueError:
        return outcome.out


def refused(outcome: Outcome, code: int, words: str) -> None:
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("helicon: ")
    assert len(outcome.err.splitlines()) == 1
    assert words in outcome.err


def with_key(stack: Stack, key: str) -> httpx.Client:
    return stack.client(key.strip())


@pytest.mark.requirement("ops.cli.app-create", "ops.cli.key-create")
def test_an_app_that_was_made_serves_its_keys(stack: Stack, user: str, helicon: Helicon):
    name = f"shop-{user}"
    form = '[{"variable": "what", "required": true}]'
    (made,) = done(helicon("app", "create", name, "--set", "prompt=Sell {{what}}.", "--set", f"form={form}", "--json"))
    assert (made["name"], made["mode"], made["disabled"]) == (name, "chat", False)
    assert made["settings"]["prompt"] == "Sell {{what}}."
    key = done(helicon("key", "create", name, "--name", "web"))
    assert key.startswith("app-")
    with with_key(stack, key) as client:
        ask(client, user, user, inputs={"what": "tea"})
    assert shown(stack, user)[0] == ("system", "Sell tea.")


@pytest.mark.requirement("ops.cli.app-list")
def test_apps_are_listed_and_shown(helicon: Helicon, make_app: MakeApp):
    name = app_of(make_app(model="demo-tokens:3"))
    (row,) = done(helicon("app", "show", name, "--json"))
    assert row["settings"] == {"model": "demo-tokens:3"}
    rows = done(helicon("app", "list", "--json"))
    assert row in rows
    assert "default" in [app["name"] for app in rows]
    assert name in done(helicon("app", "list"))
    assert name in done(helicon("app", "show", name))


@pytest.mark.requirement("ops.cli.app-edit")
def test_settings_of_an_app_are_changed_and_taken_back(helicon: Helicon, make_app: MakeApp):
    name = app_of(make_app(model="demo-tokens:3", temperature=0.5))
    assert helicon("app", "edit", name, "--set", "temperature=null", "--set", "max_tokens=9").code == 0
    (row,) = done(helicon("app", "show", name, "--json"))
    changed = {key: value for key, value in row["settings"].items() if value is not None}
    assert changed == {"model": "demo-tokens:3", "max_tokens": 9}


@pytest.mark.requirement("v1.apps.rate-limit")
@pytest.mark.parametrize("limit", ["rate_per_key", "rate_per_user"])
def test_a_rate_limit_is_a_number_from_0_on_or_taken_back(helicon: Helicon, make_app: MakeApp, limit: str):
    name = app_of(make_app())
    for value, kept in (("7", 7), ("0", 0), ("100000", 100_000), ("null", None)):
        (row,) = done(helicon("app", "edit", name, "--set", f"{limit}={value}", "--json"))
        assert row["settings"][limit] == kept
    assert helicon("app", "edit", name, "--set", f"{limit}=5").code == 0
    for wrong in ("-1", "100001", "9" * 30, "1.5", "many", "60/minute", "", "[60]"):
        refused(helicon("app", "edit", name, "--set", f"{limit}={wrong}"), 2, limit)
    (row,) = done(helicon("app", "show", name, "--json"))
    assert row["settings"][limit] == 5


@pytest.mark.requirement("ops.cli.app-disable")
def test_an_app_is_disabled_and_enabled(helicon: Helicon, make_app: MakeApp):
    name = app_of(make_app())
    for command, disabled in (("disable", True), ("enable", False)):
        assert helicon("app", command, name).code == 0
        (row,) = done(helicon("app", "show", name, "--json"))
        assert row["disabled"] is disabled


@pytest.mark.requirement("ops.cli.key-create", "ops.cli.key-list", "ops.cli.key-revoke")
def test_a_key_is_shown_once_listed_by_its_prefix_and_revoked(stack: Stack, user: str, helicon: Helicon):
    admin, app = (
        done(helicon("key", "create", "--admin", "--name", user)).strip(),
        done(helicon("key", "create", "default", "--name", user)).strip(),
    )
    assert (admin[:4], app[:4]) == ("adm-", "app-")
    listed = helicon("key", "list", "--json")
    rows = {row["prefix"]: row for row in done(listed) if row["name"] == user}
    assert {prefix: row["app"] for prefix, row in rows.items()} == {admin[:12]: None, app[:12]: "default"}
    assert admin not in listed.out
    assert app not in listed.out
    assert helicon("key", "revoke", app[:12]).code == 0
    with with_key(stack, app) as client:
        assert client.post("/v1/chat-messages/x/stop", json={"user": user}).status_code == 401


@pytest.mark.requirement("ops.cli.user")
def test_users_are_listed_shown_and_granted_tokens(stack: Stack, client: httpx.Client, user: str, helicon: Helicon):
    used = ask(client, user)["metadata"]["usage"]["total_tokens"]
    assert user in helicon("user", "list", "--app", "default").out
    assert helicon("user", "grant", user, "500").code == 0
    assert helicon("user", "grant", user, "--", "-100").code == 0
    assert balance(stack.database, user) == (10_400, 10_400 - used, 10_400 - used)
    found, ledger = (json.loads(line) for line in helicon("user", "show", user, "--json").out.splitlines())
    assert [(row["user_id"], row["token"], row["avail_token"]) for row in found] == [(user, 10_400, 10_400 - used)]
    assert [(row["kind"], row["amount"]) for row in ledger[:2]] == [("grant", -100), ("grant", 500)]
    refused(helicon("user", "grant", user, "--", "-999999"), 2, f"{user} has {10_400 - used} tokens left")
    assert balance(stack.database, user).left == 10_400 - used


@pytest.mark.requirement("ops.cli.exit")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("app", "create", "default"), 2, "default"),
        (("app", "create", "x", "--set", "temperature=9"), 2, "temperature"),
        (("app", "create", "x", "--set", "nothing=1"), 2, "nothing"),
        (("app", "show", "nobody"), 1, "nobody"),
        (("app", "edit", "nobody", "--set", "model=demo"), 1, "nobody"),
        (("key", "create", "nobody"), 1, "nobody"),
        (("key", "create"), 2, "--admin"),
        (("key", "revoke", "app-nobodys1"), 1, "app-nobodys1"),
        (("user", "show", "nobody-at-all"), 1, "nobody-at-all"),
        (("nothing",), 2, "nothing"),
        (("app", "list", "--nothing"), 2, "--nothing"),
    ],
)
def test_what_can_not_be_done_is_one_line_and_an_exit_code(
    helicon: Helicon, arguments: tuple[str, ...], code: int, words: str
):
    refused(helicon(*arguments), code, words)


@pytest.mark.requirement("ops.cli.help")
@pytest.mark.parametrize("arguments", [(), *((name,) for name in cli.COMMANDS), ("app", "create"), ("key", "revoke")])
def test_every_help_has_an_example(arguments: tuple[str, ...]):
    shown_help = CliRunner().invoke(cli.helicon, [*arguments, "--help"])
    assert shown_help.exit_code == 0
    assert re.search(r"^ +Examples?:$", shown_help.output, re.MULTILINE)


@pytest.mark.requirement("ops.cli.migrate", "ops.cli.exit")
def test_a_database_is_brought_to_the_newest_schema_but_never_back(
    servers: Servers, helicon: Helicon, monkeypatch: pytest.MonkeyPatch
):
    url = make_database(servers.postgres, "helicon_migrate")
    monkeypatch.setenv("HELICON_DATABASE_URL", url)
    for _ in range(2):
        assert helicon("migrate").code == 0
    assert "default" in helicon("app", "list").out
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    refused(helicon("migrate"), 2, "from_the_future")


class Parts(NamedTuple):
    """A gateway and a demo upstream that `helicon` runs; a worker runs beside them."""

    stack: Stack
    gateway: str


@pytest.fixture(scope="module")
def parts(stack: Stack, servers: Servers) -> Iterator[Parts]:
    """Each part as `helicon` starts it, over a database of its own."""
    port, demo_port = free_port(), free_port()
    database_url = make_database(servers.postgres, "helicon_parts")
    environ = {
        **stack.environ,
        "HELICON_DATABASE_URL": database_url,
        "HELICON_REDIS_URL": f"{servers.valkey.url.removesuffix('/0')}/3",
        "DEMO_BASE_URL": f"http://127.0.0.1:{demo_port}/v1",
    }
    commands = {
        "demo": ("demo-upstream", "--port", str(demo_port)),
        "worker": ("worker", "-Q", "chat,default", "-c", "2"),
        "gateway": ("gateway", "--port", str(port), "-max_tokens=33", "-lang", "ru"),
    }
    migrated = Part("migrate", "services.launcher", environ, "migrate")
    assert migrated.process.wait(60) == 0, migrated.output
    migrated.stop()
    running = {name: Part(f"cli-{name}", "services.launcher", environ, *command) for name, command in commands.items()}
    other = Stack(environ, stack.database, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{demo_port}", "", "", running)
    yield Parts(other, other.base_url)
    codes = {name: part.stop() for name, part in reversed(running.items())}
    assert codes == dict.fromkeys(commands, 0)


@pytest.mark.requirement(
    "ops.cli.gateway", "ops.cli.worker", "ops.cli.demo", "ops.cli.key-create", "muse.conf.flags",
    "muse.wins.environment",
)  # fmt: skip
def test_parts_that_helicon_starts_answer_a_chat_as_their_flags_say(
    parts: Parts, user: str, helicon: Helicon, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HELICON_DATABASE_URL", parts.stack.environ["HELICON_DATABASE_URL"])
    key = done(helicon("key", "create", "default")).strip()
    wait_for(lambda: _is_up(parts), "every part is up", 60)
    with parts.stack.client(key) as client:
        ask(client, user, user)
        assert "новую беседу" in text_of(communicate(client, user, "/help"))
    (call,) = calls(parts.stack, user)
    assert call["body"]["max_tokens"] == 33


def _is_up(parts: Parts) -> bool:
    for part in parts.stack.parts.values():
        assert part.process.poll() is None, part.output
    try:
        return httpx.get(f"{parts.gateway}/readyz").json()["checks"]["workers"] == "ok"
    except httpx.TransportError:
        return False


@pytest.fixture
def data() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder / "data"


@pytest.mark.requirement("ops.cli.up")
def test_up_runs_everything_as_its_flags_say(stack: Stack, servers: Servers, user: str, data: Path):
    port = str(free_port())
    environ = {
        "HELICON_DATABASE_URL": make_database(servers.postgres, "helicon_up"),
        "HELICON_REDIS_URL": f"{servers.valkey.url.removesuffix('/0')}/4",
        "HELICON_TYPE": "demo",
        "DEMO_BASE_URL": stack.environ["DEMO_BASE_URL"],
    }
    flags = ("--port", port, "--host", "localhost", "--workers", "2", "--no-demo")
    with LaunchedUp(data, *flags, environ=environ) as up:
        up.until_ready()
        assert up.credentials["base_url"].endswith(f":{port}")
        commands = up.commands()
        assert len([command for command in commands if "services.worker" in command]) == 2
        assert not any("services.demo" in command for command in commands)
        with httpx.Client(
            base_url=up.credentials["base_url"],
            headers={"Authorization": f"Bearer {up.credentials['app_key']}"},
            timeout=60,
        ) as client:
            ask(client, user, user)
    assert len(calls(stack, user)) == 1
