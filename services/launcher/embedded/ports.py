"""Ports: free ones for the embedded servers, and whether the gateway's can be had."""

import random
import socket
from contextlib import closing

from services.launcher.errors import PartFailedError

LOOPBACK = "127.0.0.1"
BELOW_EPHEMERAL = range(20_000, 32_000)
"""Linux gives outgoing connections ports from 32,768: one from here is still free when a server is started again."""


def free_port() -> int:
    """A port on loopback that nobody listens on.

    Raises:
        PartFailedError: none of a hundred was free.
    """
    for port in random.sample(BELOW_EPHEMERAL, 100):
        if can_listen(LOOPBACK, port) is None:
            return port
    raise PartFailedError(f"no port between {BELOW_EPHEMERAL.start} and {BELOW_EPHEMERAL.stop} is free")


def can_listen(host: str, port: int) -> OSError | None:
    """What stands in the way of listening there; None: nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError as error:
            return error
    return None
