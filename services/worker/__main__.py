"""A worker in the foreground, as `helicon worker` and compose run it."""

import os
import sys

from shared.config import (
    WRONG_KEY,
    ConfigurationError,
    WorkerSettings,
    read_live_settings,
    read_provider_urls,
    read_settings,
    require,
)
from shared.logging import configure_logging


def main() -> int:
    """Execute runs until SIGTERM; 2 where a setting is wrong."""
    try:
        settings = read_settings(WorkerSettings, os.environ)
        require(settings, "database_url", "redis_url", "secret_key")
        started, urls = read_live_settings(os.environ), read_provider_urls(os.environ)
    except ConfigurationError as error:
        sys.stderr.write(f"helicon worker: {error}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    # Celery and the SDKs are not needed to say what is wrong.
    from services.worker.worker import run_worker  # noqa: PLC0415
    from shared.store.sealing import WrongSecretKeyError  # noqa: PLC0415

    try:
        return run_worker(settings, started, urls)
    except WrongSecretKeyError:
        sys.stderr.write(f"helicon worker: {WRONG_KEY}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
