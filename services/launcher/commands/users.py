"""`helicon user`: end users, their tokens and their ledger."""

import os
from dataclasses import dataclass
from datetime import datetime

import click

from services.launcher.commands.output import as_json, show, writing
from services.launcher.errors import LauncherError
from shared.config import read_live_settings
from shared.store.apps import DEFAULT_APP, find_app
from shared.store.users import grant_tokens, list_ledger, list_users

_app = click.option("--app", "app_name", default=DEFAULT_APP, show_default=True, help="The user's app.")


@dataclass(frozen=True)
class _Entry:
    """A row of the ledger, as it is shown."""

    at: datetime
    kind: str
    amount: int
    tokens: int
    model: str | None
    run: str | None
    note: str | None


@click.group(epilog="\b\nExample:\n  helicon user grant ann 50000 --app shop")
def user() -> None:
    """Show users and their tokens, and grant more."""


@user.command(name="list", epilog="\b\nExample:\n  helicon user list --app shop")
@click.option("--app", "app_name", help="Of this app only.")
@click.option("--limit", default=100, show_default=True)
@as_json
def list_(app_name: str | None, limit: int, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List users, those changed last first."""
    with writing() as session:
        show(list_users(session, app=app_name, limit=limit), json_wanted=as_json)


@user.command(name="show", epilog="\b\nExample:\n  helicon user show ann --app shop")
@click.argument("user_id")
@_app
@as_json
def show_(user_id: str, app_name: str, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show a user and the newest changes of its tokens."""
    with writing() as session:
        found = list_users(session, app=app_name, user=user_id)
        if not found:
            raise LauncherError(f"the app {app_name!r} has no user {user_id!r}")
        ledger = [
            _Entry(
                entry.created_at,
                entry.kind,
                entry.amount,
                entry.tokens,
                entry.model,
                str(entry.run_id) if entry.run_id else None,
                entry.note,
            )
            for entry in list_ledger(session, found[0].id)
        ]
    show(found, json_wanted=as_json)
    show(ledger, json_wanted=as_json)


@user.command(epilog="\b\nExample:\n  helicon user grant ann 50000\n  helicon user grant ann -- -2000")
@click.argument("user_id")
@click.argument("tokens", type=int)
@_app
def grant(user_id: str, tokens: int, app_name: str) -> None:
    """Give a user tokens; a negative number takes them back."""
    with writing() as session:
        app = find_app(session, app_name)
        first = app.settings.token_per_user
        if first is None:
            first = read_live_settings(os.environ).base.token_per_user
        grant_tokens(session, app.id, user_id, tokens, first_grant=first, note="helicon user grant")
        show(list_users(session, app=app_name, user=user_id), json_wanted=False)
