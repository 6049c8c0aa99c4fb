"""The models that providers say they have: a worker asks them, gateways read the answers."""

from collections.abc import Sequence

import orjson
from redis import Redis

from shared.bus.connection import Command, send
from shared.bus.names import told_models

KEPT_SECONDS = 2 * 3600
"""How long an answer is believed; it is asked for every hour."""


def tell_command(provider: str, names: Sequence[str]) -> Command:
    """The Redis command that keeps the models of a provider."""
    return ("SET", told_models(provider), orjson.dumps(names), "EX", KEPT_SECONDS)


def forget_command(provider: str) -> Command:
    """The Redis command that forgets them."""
    return ("DEL", told_models(provider))


def read_told_models(redis: Redis, provider: str) -> list[str] | None:
    """The models that a provider said it has; None where it has not said.

    Raises:
        HeliconError: EVENTS_UNAVAILABLE.
    """
    (told,) = send(redis, [("GET", told_models(provider))])
    return None if told is None else orjson.loads(told)
