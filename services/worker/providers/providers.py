"""The providers as the worker's runs use them: the catalogue's entry, the key and the URL of a job, and its call."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import httpx

from services.worker.providers.base import DEFAULT_LIMIT_FIELD, Amount, ChatPart, ChatRequest, Endpoint, Timeouts
from services.worker.providers.documents import inquire
from services.worker.providers.http import open_client
from services.worker.providers.registry import BALANCES, MODELS, chat_protocols
from services.worker.providers.retry import stream_with_retries
from shared.catalogue.catalogue import Provider
from shared.config import WorkerSettings
from shared.contracts.jobs import ChatJob
from shared.contracts.offers import Offers

INQUIRY_SECONDS = 5.0
"""Longest wait for what is left of an account: a user waits for it."""
LIST_SECONDS = 20.0
"""Longest wait for a list of models."""


class Providers:
    """Calls to all providers, over one HTTP client. Lives on the loop.

    Args:
        client: makes the calls.
        offers: where a provider is, and with which key.
        timeouts: of every call.
    """

    def __init__(self, client: httpx.AsyncClient, offers: Offers, timeouts: Timeouts) -> None:
        self._client = client
        self._protocols = chat_protocols(client)
        self._offers = offers
        self._timeouts = timeouts

    def chat(self, job: ChatJob, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """Ask a job's provider and give the answer's parts as they come. Wrap it in `aclosing`.

        Raises:
            HeliconError: APP_UNAVAILABLE or NO_PROVIDER_KEY, the provider can't be asked any more; else, while the
                answer comes, as `stream_with_retries` says.
        """
        endpoint = self.endpoint(job.provider)
        return stream_with_retries(
            self._protocols[self._provider(job.provider).protocol], endpoint, request, job.retries, self._timeouts
        )

    async def models(self, endpoint: Endpoint) -> list[str]:
        """Ask which models there are.

        Raises:
            ProviderError: the provider does not tell.
        """
        inquiry = MODELS[self._provider(endpoint.provider).protocol]
        return await inquire(self._client, endpoint, inquiry, LIST_SECONDS)

    async def balance(self, provider: str) -> Sequence[Amount]:
        """Ask a provider that tells it what is left of its account.

        Raises:
            HeliconError: as `endpoint`, and `ProviderError` where it does not tell now.
        """
        inquiry = BALANCES[self._provider(provider).balance]
        return await inquire(self._client, self.endpoint(provider), inquiry, INQUIRY_SECONDS)

    def endpoint(self, provider: str) -> Endpoint:
        """Where a provider is called now.

        Raises:
            HeliconError: APP_UNAVAILABLE or NO_PROVIDER_KEY, it can't be.
        """
        offer = self._offers.provider(provider)
        limit_field = offer.provider.limit_field if offer.own else DEFAULT_LIMIT_FIELD
        return Endpoint(provider, offer.url, offer.key, limit_field)

    def _provider(self, name: str) -> Provider:
        return self._offers.catalogue.provider(name)


@asynccontextmanager
async def open_providers(settings: WorkerSettings, offers: Offers) -> AsyncGenerator[Providers]:
    """Open the providers' client on the running loop; leaving closes its connections."""
    timeouts = Timeouts(
        settings.connect_seconds, settings.first_token_seconds, settings.next_token_seconds, settings.answer_seconds
    )
    async with open_client(timeouts, lambda: offers.live.base.llm_proxy) as client:
        yield Providers(client, offers, timeouts)
