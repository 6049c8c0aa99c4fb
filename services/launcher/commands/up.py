"""`helicon up`: the flags; what it does is in `services.launcher.up`."""

import os

import click

from services.launcher.environment import with_flags
from services.launcher.flags import SettingsCommand, given, setting_flags
from services.launcher.up import run_up
from shared.config import LauncherSettings

EPILOG = """\b
Examples:
  helicon up
  helicon up --port 9000 --workers 2
  OPENAI_API_KEY=sk-... helicon up -max_tokens=500
  helicon up -type=ollama -default_model=llama3.2"""
FIRST = ("port", "host", "data", "workers")
NO_DEMO = click.Option(["--no-demo"], is_flag=True, help="No demo upstream, also without any provider key.")


@click.command(cls=SettingsCommand, params=[NO_DEMO, *setting_flags(LauncherSettings, first=FIRST)], epilog=EPILOG)
def up(*, no_demo: bool, **flags: str | None) -> None:
    """Run everything on this machine: Postgres, Valkey, gateway, workers, and a demo provider if no key is set.

    Ctrl-C ends it. Its data stay in the folder --data.
    """
    settings = given(flags)
    if no_demo:
        settings["demo"] = "off"
    run_up(with_flags(os.environ, settings))
