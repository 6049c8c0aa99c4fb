"""`helicon key`: API keys of apps and of administrators."""

import click

from services.launcher.commands.output import as_json, show, writing
from shared.store.keys import create_key, list_keys, revoke_key


@click.group(epilog="\b\nExample:\n  helicon key create shop --name 'the web site'")
def key() -> None:
    """Make and revoke API keys."""


@key.command(epilog="\b\nExample:\n  helicon key create shop\n  helicon key create --admin")
@click.argument("app", required=False)
@click.option("--admin", is_flag=True, help="A key for the administration, which belongs to no app.")
@click.option("--name", default="", help="What people call it.")
def create(app: str | None, admin: bool, name: str) -> None:  # noqa: FBT001 - click's flag
    """Make a key and print it: it is shown this once."""
    if admin == (app is not None):
        raise click.UsageError("name an app, or say --admin")
    with writing() as session:
        made = create_key(session, kind="admin" if admin else "app", app=app, name=name)
    click.echo(made)


@key.command(name="list", epilog="\b\nExample:\n  helicon key list --json")
@as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - as above
    """List all keys by their first characters."""
    with writing() as session:
        show(list_keys(session), json_wanted=as_json)


@key.command(epilog="\b\nExample:\n  helicon key revoke app-3fK9pQ2x")
@click.argument("prefix")
def revoke(prefix: str) -> None:
    """Revoke a key: it is refused within 5 seconds."""
    with writing() as session:
        show([revoke_key(session, prefix)], json_wanted=False)
