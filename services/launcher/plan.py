"""What `helicon up` decides before it starts anything: settings, folder, port, and what it brings itself."""

import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.launcher.embedded.data_folder import DataFolder, open_data_folder
from services.launcher.embedded.lock import FolderLock
from services.launcher.embedded.ports import can_listen, free_port
from services.launcher.embedded.postgres import EmbeddedPostgres
from services.launcher.embedded.valkey import EmbeddedValkey
from services.launcher.environment import check_settings, wants_demo
from services.launcher.errors import WrongEnvironmentError
from services.launcher.runtime import ended_unasked
from shared.config import LauncherSettings, read_live_settings

DEFAULTS = {
    "HELICON_DRAIN_SECONDS": "8",  # Ctrl-C must end everything within 15 s
    "HELICON_MCP_STDIO": "on",  # on one's own machine a program is the usual kind of MCP server
}
"""Settings that are others here than elsewhere, where nobody sets them."""
PORT_OF_THE_DEAD_SECONDS = 3
"""Gunicorn's workers notice only after a while that their master was killed."""


@dataclass(frozen=True)
class Plan:
    """What will run.

    Args:
        settings: checked.
        environ: ours, with the flags in it.
        data: the data folder, which is ours alone.
        port: where the gateway will listen; it is free.
        demo_port: where the demo upstream will listen; None: no demo upstream.
        postgres: to bring along; None: `settings.database_url` is used.
        valkey: to bring along; None: `settings.redis_url` is used.
    """

    settings: LauncherSettings
    environ: Mapping[str, str]
    data: DataFolder
    port: int
    demo_port: int | None
    postgres: EmbeddedPostgres | None
    valkey: EmbeddedValkey | None

    @property
    def database_url(self) -> str:
        """The database to use."""
        return self.postgres.url if self.postgres else self.settings.database_url

    @property
    def redis_url(self) -> str:
        """The Redis to use."""
        return self.valkey.url if self.valkey else self.settings.redis_url


@contextmanager
def make_plan(environ: Mapping[str, str]) -> Generator[Plan]:
    """Read the settings, take the data folder and find ports; the folder is given free at the end.

    Raises:
        WrongEnvironmentError: a setting, the folder or the port can't be used.
    """
    environ = {**environ, **{name: environ.get(name) or value for name, value in DEFAULTS.items()}}
    settings = check_settings(LauncherSettings, environ)
    with ExitStack() as stack:
        data = open_data_folder(Path(settings.data), for_servers=not (settings.database_url and settings.redis_url))
        stack.callback(FolderLock(data.path / "lock").release)
        port = _listenable(settings, patience=PORT_OF_THE_DEAD_SECONDS if ended_unasked(data) else 0)
        postgres = None if settings.database_url else EmbeddedPostgres(data)
        valkey = None if settings.redis_url else EmbeddedValkey(data)
        for server in (postgres, valkey):
            if server:
                stack.callback(server.close)
        demo = wants_demo(settings, read_live_settings(environ), environ)
        yield Plan(settings, environ, data, port, free_port() if demo else None, postgres, valkey)


def _listenable(settings: LauncherSettings, *, patience: float) -> int:
    """The gateway's port, once nobody listens there."""
    port = settings.port or free_port()
    end = time.monotonic() + patience
    while (obstacle := can_listen(settings.host, port)) is not None:
        if time.monotonic() >= end:
            raise WrongEnvironmentError(
                f"can't listen on {settings.host} port {port} ({obstacle.strerror}): stop what listens there, or"
                " choose another with --port N (HELICON_PORT) or --host ADDRESS (HELICON_HOST)"
            ) from obstacle
        time.sleep(0.1)
    return port
