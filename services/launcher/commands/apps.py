"""`helicon app`: applications and their settings."""

import json
from typing import Any

import click

from services.launcher.commands.output import as_json, show, writing
from shared.store.apps import create_app, edit_app, find_app, list_apps, set_disabled

_settings = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; lists and objects as JSON. Repeatable."
)


@click.group(epilog="\b\nExample:\n  helicon app create shop --set model=gpt-4o-mini --set 'prompt=You sell {{what}}.'")
def app() -> None:
    """Make and change apps."""


@app.command(epilog='\b\nExample:\n  helicon app create shop --set \'form=[{"variable": "what"}]\'')
@click.argument("name")
@click.option("--mode", type=click.Choice(["chat"]), default="chat", show_default=True)
@_settings
@as_json
def create(name: str, mode: str, settings: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Make an app."""
    with writing() as session:
        show([create_app(session, name, mode, _parse(settings))], json_wanted=as_json)


@app.command(name="list", epilog="\b\nExample:\n  helicon app list --json")
@as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - as above
    """List all apps."""
    with writing() as session:
        show(list_apps(session), json_wanted=as_json)


@app.command(name="show", epilog="\b\nExample:\n  helicon app show default")
@click.argument("name")
@as_json
def show_(name: str, as_json: bool) -> None:  # noqa: FBT001 - as above
    """Show one app."""
    with writing() as session:
        show([find_app(session, name)], json_wanted=as_json)


@app.command(epilog="\b\nExample:\n  helicon app edit shop --set temperature=0.2 --set model=null")
@click.argument("name")
@_settings
@as_json
def edit(name: str, settings: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - as above
    """Change settings of an app; null takes one back."""
    with writing() as session:
        show([edit_app(session, name, _parse(settings))], json_wanted=as_json)


@app.command(epilog="\b\nExample:\n  helicon app disable shop")
@click.argument("name")
def disable(name: str) -> None:
    """Answer the app's keys with 403 from now on."""
    with writing() as session:
        show([set_disabled(session, name, disabled=True)], json_wanted=False)


@app.command(epilog="\b\nExample:\n  helicon app enable shop")
@click.argument("name")
def enable(name: str) -> None:
    """Serve the app's keys again."""
    with writing() as session:
        show([set_disabled(session, name, disabled=False)], json_wanted=False)


def _parse(settings: tuple[str, ...]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set {setting}: KEY=VALUE is needed")
        parsed[key] = _value(value)
    return parsed


def _value(text: str) -> object:
    """JSON where it looks like a list, an object or null; else the text, which the setting's type makes sense of."""
    if text != "null" and not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--set: {text[:60]!r} is no JSON: {error}") from error
