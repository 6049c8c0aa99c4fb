"""Helicon as `helicon up` runs it: gateway, worker, Postgres and Valkey, with quota and ledger."""

import json
import sys
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from bench.machine import commit
from bench.systems.system import Program, System, free_address
from bench.wires import Answer, HeliconV1
from shared.store.apps import create_app
from shared.store.engine import open_database
from shared.store.keys import create_key

READY_SECONDS = 120
GRANT = 10**12
"""Tokens of a user: counted and paid, and never spent."""


@contextmanager
def running_helicon(folder: Path, demo_url: str, wanted: Iterable[Answer]) -> Generator[System]:
    """A Helicon on a new data folder, with an app for each of the `wanted` answers.

    Raises:
        UnavailableError: it did not start.
    """
    address = free_address()
    data = folder / "helicon"
    arguments = (sys.executable, "-m", "services.launcher", "up", "--data", str(data), "--port", str(address.port))
    environ = {"HELICON_TYPE": "demo", "DEMO_BASE_URL": f"{demo_url}/v1", "HELICON_LOG_FORMAT": "json"}
    program = Program(arguments, folder / "helicon.log", environ)
    with program.running(lambda: "A first chat:" in program.log.read_text("utf-8", "replace"), READY_SECONDS) as pid:
        keys = _make_apps(data, wanted)
        yield System(
            "helicon",
            commit(),
            address,
            HeliconV1(),
            lambda answer: {"Authorization": f"Bearer {keys[answer]}"},
            (pid,),
        )


def _make_apps(data: Path, wanted: Iterable[Answer]) -> dict[Answer, str]:
    """An app whose model gives the answer, for each; their keys."""
    runtime = json.loads((data / "runtime.json").read_text("utf-8"))
    with closing(open_database(runtime["database_url"])) as database, database.write() as session:
        return {answer: _make_app(session, answer) for answer in wanted}


def _make_app(session: Session, answer: Answer) -> str:
    name = f"bench-{answer.tokens}-{answer.pause_ms}"
    create_app(session, name, "chat", {"model": answer.model, "token_per_user": GRANT})
    return create_key(session, kind="app", app=name)
