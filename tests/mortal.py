"""A Helicon whose every process, Postgres and Valkey included, may be killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import uuid_utils.compat as uuids

from servers import temporary_folder
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from shared.store.apps import create_app
from shared.store.keys import create_key
from stack import Stack, running_stack


class Mortal(NamedTuple):
    """A stack and the servers below it."""

    stack: Stack
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey


@contextmanager
def running_mortal(**environ: str) -> Iterator[Mortal]:
    with (
        temporary_folder() as below,
        temporary_folder() as beside,
        embedded_postgres(below) as postgres,
        embedded_valkey(beside) as valkey,
        running_stack(postgres.url, valkey.url, **environ) as stack,
    ):
        yield Mortal(stack, postgres, valkey)


@contextmanager
def app(stack: Stack, model: str, url: str | None = None) -> Iterator[httpx.Client]:
    """A client of an app with that model, at that gateway."""
    name = f"app-{uuids.uuid7()}"
    with stack.database.write() as session:
        create_app(session, name, "chat", {"model": model})
        key = create_key(session, kind="app", app=name)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url or stack.base_url, headers=headers, timeout=60) as client:
        yield client
