"""The providers as the worker's runs use them: the catalogue's entry, the key and the URL of a job, and its call."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from services.worker.providers.base import DEFAULT_LIMIT_FIELD, ChatPart, ChatProtocol, ChatRequest, Endpoint, Timeouts
from services.worker.providers.http import open_client
from services.worker.providers.registry import chat_protocols
from services.worker.providers.retry import stream_with_retries
from shared.config import WorkerSettings
from shared.contracts.jobs import ChatJob
from shared.contracts.offers import Offers


class Providers:
    """Calls to all providers, over one HTTP client. Lives on the loop.

    Args:
        protocols: by the names of the catalogue.
        offers: where a provider is, and with which key.
        timeouts: of every call.
    """

    def __init__(self, protocols: Mapping[str, ChatProtocol], offers: Offers, timeouts: Timeouts) -> None:
        self._protocols = protocols
        self._offers = offers
        self._timeouts = timeouts

    def chat(self, job: ChatJob, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """Ask a job's provider and give the answer's parts as they come. Wrap it in `aclosing`.

        Raises:
            HeliconError: APP_UNAVAILABLE or NO_PROVIDER_KEY, the provider can't be asked any more; else, while the
                answer comes, as `stream_with_retries` says.
        """
        offer = self._offers.provider(job.provider)
        protocol = self._protocols[offer.provider.protocol]
        limit_field = offer.provider.limit_field if offer.own else DEFAULT_LIMIT_FIELD
        endpoint = Endpoint(job.provider, offer.url, offer.key, limit_field)
        return stream_with_retries(protocol, endpoint, request, job.retries, self._timeouts)


@asynccontextmanager
async def open_providers(settings: WorkerSettings, offers: Offers) -> AsyncGenerator[Providers]:
    """Open the providers' client on the running loop; leaving closes its connections."""
    timeouts = Timeouts(
        settings.connect_seconds, settings.first_token_seconds, settings.next_token_seconds, settings.answer_seconds
    )
    async with open_client(timeouts, lambda: offers.live.base.llm_proxy) as client:
        yield Providers(chat_protocols(client), offers, timeouts)
