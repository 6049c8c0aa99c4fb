"""`helicon up` with real servers and small parts: what is promised about starting, dying and ending."""

import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from launched import LaunchedUp
from servers import temporary_folder
from services.launcher.embedded.ports import free_port

ENTRY = (sys.executable, str(Path(__file__).with_name("small_parts.py")))


@pytest.fixture
def data() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder / "data"


def launch(data: Path, *flags: str, environ: dict[str, str] | None = None) -> LaunchedUp:
    port = () if "--port" in flags else ("--port", str(free_port()))
    return LaunchedUp(data, *port, *flags, entry=ENTRY, environ=environ)


def told(up: LaunchedUp) -> dict[str, Any]:
    with urllib.request.urlopen(up.credentials["base_url"] + "/readyz", timeout=10) as answer:  # noqa: S310 - our own
        return json.load(answer)["told"]


def app_of(up: LaunchedUp, key: str) -> object:
    """The app of a key that works, None for an admin key."""
    query = (
        "SELECT apps.name FROM api_keys LEFT JOIN apps ON apps.id = api_keys.app_id"
        " WHERE api_keys.sha256 = sha256(%s::bytea) AND revoked_at IS NULL"
    )
    with psycopg.connect(up.runtime["database_url"]) as connection:
        rows = connection.execute(query, [key.encode()]).fetchall()
    assert len(rows) == 1
    return rows[0][0]


def refused(data: Path, *flags: str, environ: dict[str, str] | None = None) -> str:
    """The one line of a `helicon up` that ends with code 2."""
    with launch(data, *flags, environ=environ) as up:
        code = up.wait(30)
    said = "".join(up.errors)
    assert (code, said.count("\n")) == (2, 1), up.text + said
    return said


def test_the_first_start_brings_everything_and_says_how_to_use_it(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        credentials = up.credentials
        assert f"Helicon is ready at {credentials['base_url']}\n" in up.text
        for key in ("app_key", "admin_key"):
            assert credentials[key] in up.text
        chat = up.lines[up.lines.index("A first chat:\n") + 1]
        assert chat.startswith(f"curl -N {credentials['base_url']}/v1/chat-messages ")
        for line in ("gateway  | services.gateway runs\n", "worker   | services.worker runs\n", "demo     | "):
            assert line in up.text
        assert app_of(up, credentials["app_key"]) == "default"
        assert app_of(up, credentials["admin_key"]) is None
        with psycopg.connect(up.runtime["database_url"]) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("helicon",)
        with redis.Redis.from_url(up.runtime["redis_url"]) as client:
            assert client.ping()
        files = [path for path in data.iterdir() if path.suffix in {".json", ".password"}]
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_parts_are_told_by_variables(data: Path) -> None:
    with launch(data, "--workers", "2", "-max_tokens=77") as up:
        up.until_ready()
        seen = told(up)
        assert "worker-1 | services.worker runs\n" in up.text
        assert "worker-2 | services.worker runs\n" in up.text
        runtime = up.runtime
    assert seen["HELICON_DATABASE_URL"] == runtime["database_url"]
    assert seen["HELICON_REDIS_URL"] == runtime["redis_url"]
    assert seen["HELICON_MAX_TOKENS"] == "77"
    assert seen["HELICON_DRAIN_SECONDS"] == "8"
    assert seen["HELICON_MCP_STDIO"] == "on"
    assert seen["HELICON_TYPE"] == "demo"
    assert seen["DEMO_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_provider_key_leaves_the_demo_out_and_is_never_shown(data: Path) -> None:
    with launch(data, "-openai_token=sk-hidden", "--mcp-stdio", "off") as up:
        up.until_ready()
        seen = told(up)
        assert seen["HELICON_MCP_STDIO"] == "off"
        assert seen["HELICON_OPENAI_TOKEN"] == "sk-hidden"
        assert "HELICON_TYPE" not in seen
        assert "services.demo" not in up.text
        assert "sk-hidden" not in up.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_and_the_next_start_is_quick_and_has_the_keys(
    data: Path, number: signal.Signals
) -> None:
    with launch(data) as up:
        up.until_ready()
        before = up.credentials
        up.send(number)
        assert up.wait(15) == 0
        assert up.left() == []
        assert not (data / "runtime.json").exists()
    with launch(data) as up:
        assert up.until_ready() < 10
        after = up.credentials
    assert (after["app_key"], after["admin_key"]) == (before["app_key"], before["admin_key"])


def test_after_kill_9_of_everything_the_next_start_has_all_data(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        before = up.credentials
        with redis.Redis.from_url(up.runtime["redis_url"]) as client:
            client.set("kept", "7")
        with psycopg.connect(up.runtime["database_url"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
            connection.commit()
        up.kill_all()
    with launch(data, "--port", before["base_url"].rpartition(":")[2]) as up:
        up.until_ready()
        assert up.credentials == before
        with redis.Redis.from_url(up.runtime["redis_url"]) as client:
            assert client.get("kept") == b"7"
        with psycopg.connect(up.runtime["database_url"]) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent's life")
def test_after_kill_9_of_the_launcher_alone_nothing_is_left(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        port = up.credentials["base_url"].rpartition(":")[2]
        up.send(signal.SIGKILL)
        up.wait()
    with launch(data, "--port", port) as again:
        again.until_ready()
        assert up.left() == []


def test_revoked_keys_are_made_anew(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        before = up.credentials
        with psycopg.connect(up.runtime["database_url"]) as connection:
            connection.execute("UPDATE api_keys SET revoked_at = now() WHERE app_id IS NOT NULL")
            connection.commit()
        up.send(signal.SIGTERM)
        up.wait()
    with launch(data) as up:
        up.until_ready()
        assert up.credentials["app_key"] != before["app_key"]
        assert up.credentials["admin_key"] == before["admin_key"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gateway", ("services.gateway",)),
        ("worker", ("services.worker",)),
        ("demo", ("services.demo",)),
        ("postgres", ("bin/postgres", "-D")),
        ("valkey", ("valkey-server",)),
    ],
)
def test_a_part_that_is_killed_is_started_again_where_it_was(data: Path, name: str, words: tuple[str, ...]) -> None:
    with launch(data) as up:
        up.until_ready()
        urls = up.runtime
        killed = up.find(*words)
        killed.kill()
        up.until(lambda: f"{name}: killed by signal 9; starting it again in 0.5 s" in up.text)
        up.until(lambda: any(words[0] in command for command in up.commands()), 10)
        up.until(lambda: answers(urls), 10)
        assert not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE
        up.send(signal.SIGTERM)
        assert up.wait(15) == 0
        assert up.left() == []


def answers(urls: dict[str, str]) -> bool:
    try:
        with psycopg.connect(urls["database_url"], connect_timeout=2) as connection:
            connection.execute("SELECT 1")
        with redis.Redis.from_url(urls["redis_url"]) as client:
            return bool(client.ping())
    except (psycopg.OperationalError, redis.RedisError):
        return False


def test_a_signal_in_mid_start_ends_everything(data: Path) -> None:
    with launch(data) as up:
        up.until(lambda: any("postgres" in command for command in up.commands()))
        up.send(signal.SIGINT)
        assert up.wait(15) == 0
        assert up.left() == []
        assert "Helicon is ready" not in up.text


def test_servers_that_are_given_are_used(data: Path, postgres_server, valkey_server) -> None:
    given = {"HELICON_DATABASE_URL": postgres_server.url, "HELICON_REDIS_URL": valkey_server.url}
    with launch(data, environ=given) as up:
        up.until_ready()
        assert up.runtime == {"database_url": postgres_server.url, "redis_url": valkey_server.url}
        commands = up.commands()
    assert len(commands) == 3
    assert not any("postgres" in command or "valkey" in command for command in commands)


def test_a_taken_port_is_refused_with_what_to_do(data: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} (Address already in use): stop what listens there, or" in refused(data, "--port", port)


def test_a_second_up_on_the_folder_is_refused_and_the_first_goes_on(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        assert "is in use by another helicon" in refused(data)
        assert told(up)


def test_a_folder_that_cannot_be_written_is_refused_with_what_to_do(data: Path) -> None:
    data.touch()
    assert "can't be written (Not a directory): choose another with --data FOLDER" in refused(data / "below")


def test_a_database_of_a_newer_schema_is_refused_and_left_alone(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        with psycopg.connect(up.runtime["database_url"]) as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
            connection.commit()
        up.send(signal.SIGTERM)
        up.wait()
    assert "from_the_future" in refused(data)


def test_a_bad_setting_is_refused_by_its_name(data: Path) -> None:
    assert "HELICON_WORKERS='0'" in refused(data, "--workers", "0")
    assert "HELICON_PORT='x'" in refused(data, "--port", "x")
    assert "HELICON_TYPE='nobody'" in refused(data, environ={"HELICON_TYPE": "nobody"})
    assert not data.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for root's own view of the folder")
def test_the_servers_user_cannot_read_the_secrets(data: Path) -> None:
    with launch(data) as up:
        up.until_ready()
        nobody = up.find("bin/postgres", "-D").uids().real
        for name in ("credentials.json", "runtime.json", "postgres.password"):
            status = (data / name).stat()
            assert (status.st_uid, status.st_mode & 0o077) == (0, 0)
        assert nobody != 0
