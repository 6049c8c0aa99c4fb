"""What the commands on apps, keys and users print: a table for people, JSON for machines."""

import dataclasses
import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.launcher.errors import LauncherError
from services.launcher.runtime import find_database_url
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.engine import open_database

WRONG_USE = {ErrorCode.INVALID_PARAM, ErrorCode.CONFLICT}

as_json: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The flag of every command that prints something."""


@contextmanager
def writing() -> Generator[Session]:
    """A transaction on the database of the environment, or of the running `helicon up`.

    Raises:
        click.UsageError: what was asked for makes no sense to the database.
        LauncherError: it could not be done.
    """
    database = open_database(find_database_url(os.environ))
    try:
        with database.write() as session:
            yield session
    except HeliconError as error:
        if error.code in WRONG_USE:
            raise click.UsageError(error.message) from error
        raise LauncherError(error.message) from error
    finally:
        database.close()


def show(rows: Sequence[Any], *, json_wanted: bool) -> None:
    """Print dataclasses: a table, or a JSON list."""
    fields = [dataclasses.asdict(row) for row in rows]
    if json_wanted:
        click.echo(json.dumps(fields, default=_plain, ensure_ascii=False))
    elif fields:
        cells = [[*fields[0]], *([_cell(value) for value in row.values()] for row in fields)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    else:
        click.echo("none")


def _cell(value: object) -> str:
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _plain(value: object) -> object:
    match value:
        case BaseModel():
            return value.model_dump(mode="json", exclude_unset=True)
        case UUID():
            return str(value)
        case datetime():
            return int(value.timestamp())
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
