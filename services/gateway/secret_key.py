"""The installation's secret key at a gateway's start: a wrong one is noticed before anything is served."""

import multiprocessing
import sys

from shared.config import GatewaySettings

PATIENCE_SECONDS = 3
"""Where Postgres says nothing for so long, the gateway's processes check the key when it is back."""
_REFUSED = 3


def is_refused(settings: GatewaySettings) -> bool:
    """Whether Postgres says that the secret key is another one.

    It is asked by a process of its own: what that needs must not be imported here before gevent has patched it.
    """
    check = multiprocessing.get_context("fork").Process(target=_check, args=(settings,))
    check.start()
    check.join()
    return check.exitcode == _REFUSED


def _check(settings: GatewaySettings) -> None:
    from shared.domain.errors import HeliconError  # noqa: PLC0415 - as said
    from shared.store.engine import open_database  # noqa: PLC0415
    from shared.store.sealing import Sealer, WrongSecretKeyError, check_secret_key  # noqa: PLC0415

    try:
        database = open_database(settings.database_url, pool_size=1, wait_seconds=PATIENCE_SECONDS)
        with database.write() as session:
            check_secret_key(session, Sealer(settings.secret_key))
    except HeliconError:
        pass  # Postgres is away
    except WrongSecretKeyError:
        sys.exit(_REFUSED)
