"""Asks providers which models they have, and tells the gateways.

Each provider that is available is asked: when the worker starts, when its key or its URL is another one, and every
hour. Every worker does so: it costs next to nothing, and nobody has to take over.
"""

import asyncio
from dataclasses import dataclass

import structlog

from services.worker.events.publisher import Publisher
from services.worker.providers.base import Endpoint
from services.worker.providers.providers import Providers
from shared.bus.told_models import forget_command, tell_command
from shared.contracts.offers import LONGEST_NAME, Offers
from shared.domain.errors import HeliconError

log = structlog.get_logger()

TURN_SECONDS = 1.0
"""How soon a change of the live configuration is noticed."""
AGAIN_SECONDS = 3600.0
AGAIN_AFTER_FAILURE_SECONDS = 60.0
MOST_MODELS = 1000
"""Models of a provider that are kept."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where a provider was asked, and when it is asked again (the loop's clock)."""

    endpoint: Endpoint
    again_at: float


class ToldModels:
    """Keeps what providers tell. Lives on the loop.

    Args:
        providers: are asked.
        offers: which there are.
        publisher: carries the answers to Redis.
    """

    def __init__(self, providers: Providers, offers: Offers, publisher: Publisher) -> None:
        self._providers = providers
        self._offers = offers
        self._publisher = publisher
        self._asked: dict[str, _Asked] = {}

    async def keep(self) -> None:
        """Ask whoever is due, until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            endpoints = [self._providers.endpoint(offer.provider.name) for offer in self._offers.available()]
            await asyncio.gather(*(self._ask(endpoint) for endpoint in endpoints if self._due(endpoint, now)))
            await asyncio.sleep(TURN_SECONDS)

    def _due(self, endpoint: Endpoint, now: float) -> bool:
        asked = self._asked.get(endpoint.provider)
        return asked is None or asked.endpoint != endpoint or now >= asked.again_at

    async def _ask(self, endpoint: Endpoint) -> None:
        provider = endpoint.provider
        last = self._asked.get(provider)
        if last is not None and last.endpoint != endpoint:
            self._publisher.send([forget_command(provider)])
        again = AGAIN_SECONDS
        try:
            told = await self._providers.models(endpoint)
        except HeliconError as error:
            log.warning("models.not_told", provider=provider, code=error.code, error=error.message)
            again = AGAIN_AFTER_FAILURE_SECONDS
        else:
            names = [name for name in told if name.isprintable() and 0 < len(name) <= LONGEST_NAME][:MOST_MODELS]
            log.info("models.told", provider=provider, models=len(names))
            self._publisher.send([tell_command(provider, names)])
        self._asked[provider] = _Asked(endpoint, asyncio.get_running_loop().time() + again)
