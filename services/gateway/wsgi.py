"""The WSGI entry point: gunicorn imports this in each of its workers, after the fork."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402 - everything below must see the patched modules

from services.gateway.app import make_app  # noqa: E402
from services.gateway.gateway import make_gateway  # noqa: E402
from shared.config import (  # noqa: E402
    GatewaySettings,
    read_live_settings,
    read_provider_urls,
    read_settings,
)
from shared.logging import configure_logging  # noqa: E402

settings = read_settings(GatewaySettings, os.environ)
configure_logging(settings.log_level, settings.log_format)
gateway = make_gateway(settings, read_live_settings(os.environ), read_provider_urls(os.environ))
app = make_app(gateway)
