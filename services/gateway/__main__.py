"""A gateway in the foreground: gunicorn with gevent workers, as `helicon gateway` and compose run it."""

import ipaddress
import os
import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from services.gateway.secret_key import is_refused
from shared.config import (
    WRONG_KEY,
    ConfigurationError,
    GatewaySettings,
    read_live_settings,
    read_settings,
    require,
)

LONGEST_SILENCE = 60
"""Seconds without a sign of life after which gunicorn ends a worker."""


class GatewayServer(BaseApplication):
    """Gunicorn, told by Helicon's settings alone."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings into gunicorn's."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{self._settings.port}",
            "workers": self._settings.gateway_processes,
            "worker_class": "gevent",
            "worker_connections": self._settings.gateway_connections,
            "timeout": LONGEST_SILENCE,
            "graceful_timeout": int(self._settings.drain_seconds),
            "keepalive": 75,
            "backlog": 2048,
            "limit_request_line": 0,  # ours is checked by the application, which answers in the surface's words
            "control_socket_disable": True,
            "proc_name": "helicon-gateway",
            "loglevel": "warning",
            "post_worker_init": _tell_when_leaving,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - a WSGI application
        """The application, imported in the worker: nothing may be shared across the fork."""
        from services.gateway.wsgi import app, gateway  # noqa: PLC0415 - as said

        gateway.keep_settings(refused=lambda: os._exit(Arbiter.APP_LOAD_ERROR))  # which ends all of gunicorn
        return app


def _tell_when_leaving(worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Let the open WebSockets know when their process was asked to end: gunicorn alone would wait for them."""
    from services.gateway.app import SOCKETS  # noqa: PLC0415 - in the worker, after the patching

    worker.wsgi.extensions[SOCKETS].is_leaving = lambda: not worker.alive


def main() -> int:
    """Serve until SIGTERM; 2 where a setting is wrong."""
    try:
        settings = read_settings(GatewaySettings, os.environ)
        read_live_settings(os.environ)
        _check(settings)
        _serve(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"helicon gateway: {error}\n")
        return 2
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _serve(settings: GatewaySettings) -> None:
    if is_refused(settings):
        raise ConfigurationError(WRONG_KEY)
    try:
        GatewayServer(settings).run()
    except SystemExit as ended:
        if ended.code == Arbiter.APP_LOAD_ERROR:  # Postgres was away at the start
            raise ConfigurationError(WRONG_KEY) from None
        raise


def _check(settings: GatewaySettings) -> None:
    require(settings, "database_url", "redis_url", "secret_key")
    if not settings.muse_auth and not _is_loopback(settings.host):
        raise ConfigurationError(
            f"HELICON_MUSE_AUTH=off opens the Muse API to everyone who reaches {settings.host}: "
            "use HELICON_HOST=127.0.0.1, or leave it on"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
