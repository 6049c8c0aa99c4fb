"""The models that providers say they have, remembered for a few seconds."""

import structlog
from cachetools import TTLCache
from redis import Redis

from shared.bus.told_models import read_told_models
from shared.domain.errors import HeliconError

log = structlog.get_logger()

REMEMBERED_SECONDS = 2
CEILING = 100
"""Providers that are remembered at most."""


class ToldModels:
    """What providers told the workers, as Redis has it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remembered = TTLCache[str, tuple[list[str] | None], float](CEILING, REMEMBERED_SECONDS)

    def read(self, provider: str) -> list[str] | None:
        """The models of a provider; None where it has not told, or nobody knows now."""
        remembered = self._remembered.get(provider)
        if remembered is None:
            remembered = self._remembered[provider] = (self._ask(provider),)
        return remembered[0]

    def _ask(self, provider: str) -> list[str] | None:
        try:
            return read_told_models(self._redis, provider)
        except HeliconError as error:
            log.warning("models.away", error=error.message)
            return None
