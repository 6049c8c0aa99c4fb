"""`helicon migrate`: the database to the newest schema."""

import os

import click

from services.launcher.environment import with_flags
from services.launcher.flags import given
from services.launcher.runtime import find_database_url
from services.launcher.schema import migrate as bring_up_to_date

EPILOG = """\b
Example:
  HELICON_DATABASE_URL=postgresql://user:password@host/name helicon migrate"""


@click.command(epilog=EPILOG)
@click.option("--database-url", metavar="TEXT", help="Postgres  (HELICON_DATABASE_URL)")
@click.option("--data", metavar="TEXT", help="Folder of a running `helicon up`, in place of a URL  (HELICON_DATA)")
def migrate(**flags: str | None) -> None:
    """Bring the database to the newest schema; waits up to 60 s for it."""
    bring_up_to_date(find_database_url(with_flags(os.environ, given(flags))))
