"""A running Helicon: real processes on free ports, over the session's Postgres and Valkey."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shared.store.engine import Database, open_database
from shared.store.keys import create_key
from shared.store.schema import upgrade

READY_SECONDS = 60
END_SECONDS = 30


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> object:
    """Wait until `condition` gives something true, and give it back."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Part:
    """One process of Helicon; what it prints goes to a file."""

    def __init__(self, name: str, module: str, environ: dict[str, str], *arguments: str) -> None:
        self.name = name
        self._log = tempfile.NamedTemporaryFile(prefix=f"helicon-{name}-", suffix=".log", delete=False)  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **environ},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text("utf-8", "replace")

    def kill(self) -> None:
        """End the part and its children as a crash would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_SECONDS)

    def freeze(self) -> None:
        """Let the part and its children do nothing, as a machine that swaps or a paused container does."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the part go on as if nothing had been."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self) -> int:
        """Ask the part to end, and give its exit code back."""
        if self.process.poll() is None:
            self.process.terminate()
            self.thaw()
        code = self.process.wait(END_SECONDS)
        self._log.close()
        Path(self._log.name).unlink(missing_ok=True)
        return code


@dataclass
class Stack:
    """What a test talks to: `client` reaches the first gateway, `demo` the upstream."""

    environ: dict[str, str]
    database: Database
    base_url: str
    demo_url: str
    app_key: str
    admin_key: str
    parts: dict[str, Part] = field(default_factory=dict)

    def client(self, key: str | None = None, **options) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.app_key}"}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=60, **options)

    def start(self, name: str, module: str, **environ: str) -> Part:
        part = self.parts[name] = Part(name, module, {**self.environ, **environ})
        return part

    def start_gateway(self, name: str = "gateway", **environ: str) -> str:
        """Start a gateway, wait until it serves, and give its base URL back."""
        port = free_port()
        part = self.start(name, "services.gateway", HELICON_PORT=str(port), **environ)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(part, url), f"{name} is ready", READY_SECONDS)
        return url

    def start_worker(self, name: str = "worker", **environ: str) -> Part:
        part = self.start(name, "services.worker", **environ)
        wait_for(lambda: _takes_runs(part), f"{name} is ready", READY_SECONDS)
        return part


def _answers(part: Part, url: str) -> bool:
    assert part.process.poll() is None, part.output
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _takes_runs(part: Part) -> bool:
    assert part.process.poll() is None, part.output
    return " ready." in part.output


def start_demo(parts: dict[str, Part]) -> str:
    part = parts["demo"] = Part("demo", "services.demo", {}, "--host", "127.0.0.1", "--port", "0")

    def listening() -> re.Match[str] | None:
        assert part.process.poll() is None, part.output
        return re.search(r"listening on (http://\S+)", part.output)

    return wait_for(listening, "the demo upstream listens")[1]


@contextmanager
def running_stack(database_url: str, redis_url: str, **environ: str) -> Iterator[Stack]:
    """A demo upstream, a gateway and a worker over an empty database, with keys for the default app."""
    upgrade(database_url)
    database = open_database(database_url)
    parts: dict[str, Part] = {}
    try:
        demo_url = start_demo(parts)
        settings = {
            "HELICON_DATABASE_URL": database_url,
            "HELICON_REDIS_URL": redis_url,
            "HELICON_SECRET_KEY": "a key for tests, which nobody has to guess",
            "HELICON_TYPE": "demo",
            "DEMO_BASE_URL": f"{demo_url}/v1",
            "HELICON_LOG_FORMAT": "json",
            "HELICON_DRAIN_SECONDS": "3",
            **environ,
        }
        with database.write() as session:
            app_key = create_key(session, kind="app", app="default")
            admin_key = create_key(session, kind="admin", app=None)
        stack = Stack(settings, database, "", demo_url, app_key, admin_key, parts)
        stack.base_url = stack.start_gateway()
        stack.start_worker()
        yield stack
    finally:
        for part in reversed(parts.values()):
            part.stop()
        database.close()
