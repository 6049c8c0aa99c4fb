"""A worker in the foreground, as `helicon worker` and compose run it."""

import os
import sys

from shared.catalogue.catalogue import load_catalogue
from shared.config import (
    ConfigurationError,
    WorkerSettings,
    read_live_settings,
    read_provider_urls,
    read_settings,
    require,
)
from shared.contracts.offers import Offers
from shared.logging import configure_logging


def main() -> int:
    """Execute runs until SIGTERM; 2 where a setting is wrong."""
    try:
        settings = read_settings(WorkerSettings, os.environ)
        require(settings, "database_url", "redis_url")
        offers = Offers(read_live_settings(os.environ), load_catalogue(), read_provider_urls(os.environ))
    except ConfigurationError as error:
        sys.stderr.write(f"helicon worker: {error}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    from services.worker.worker import run_worker  # noqa: PLC0415 - Celery and the SDKs, not needed to say what is wrong

    return run_worker(settings, offers)


if __name__ == "__main__":
    sys.exit(main())
