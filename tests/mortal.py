"""A Helicon whose every process, Postgres and Valkey included, may be killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from servers import temporary_folder
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
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
