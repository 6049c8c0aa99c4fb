"""`helicon gateway`, `worker`, `demo-upstream`: one part, in the foreground, as compose runs them.

Each becomes the part's own process, so that signals and exit codes are the part's.
"""

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from services.launcher.environment import check_settings, with_flags
from services.launcher.flags import SettingsCommand, given, setting_flags
from shared.config import GatewaySettings, WorkerSettings

LETTERS = {"worker_queues": "Q", "worker_concurrency": "c"}
GATEWAY_EPILOG = """\b
Example:
  HELICON_DATABASE_URL=postgresql://... HELICON_REDIS_URL=redis://... helicon gateway --port 8080"""
WORKER_EPILOG = """\b
Example:
  HELICON_DATABASE_URL=postgresql://... HELICON_REDIS_URL=redis://... helicon worker -Q chat -c 64"""
DEMO_EPILOG = """\b
Example:
  helicon demo-upstream --port 8089"""


@click.command(
    cls=SettingsCommand, params=setting_flags(GatewaySettings, first=("port", "host")), epilog=GATEWAY_EPILOG
)
def gateway(**flags: str | None) -> None:
    """Run a gateway in the foreground."""
    environ = with_flags(os.environ, given(flags))
    check_settings(GatewaySettings, environ)
    become("services.gateway", environ=environ)


@click.command(
    cls=SettingsCommand,
    params=setting_flags(WorkerSettings, first=tuple(LETTERS), short=LETTERS),
    epilog=WORKER_EPILOG,
)
def worker(**flags: str | None) -> None:
    """Run a worker in the foreground."""
    environ = with_flags(os.environ, given(flags))
    check_settings(WorkerSettings, environ)
    become("services.worker", environ=environ)


@click.command(epilog=DEMO_EPILOG)
@click.option("--port", type=click.IntRange(1, 65_535), default=8089, show_default=True, help="Where it listens.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that it listens on.")
def demo_upstream(port: int, host: str) -> None:
    """Run the demo upstream, a provider without a model, in the foreground."""
    become("services.demo", "--host", host, "--port", str(port), environ=os.environ)


def become(module: str, *arguments: str, environ: Mapping[str, str]) -> NoReturn:
    """Let another module's program take this process over."""
    # -P: a folder named `services` where helicon is called must not stand in for ours.
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execve(command[0], command, dict(environ))  # noqa: S606 - no shell is wanted
