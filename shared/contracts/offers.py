"""Which models can be asked, where and with which key: catalogue, live settings and environment together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.catalogue.catalogue import Catalogue, Model, Provider
from shared.contracts.live import LiveSettings
from shared.domain.errors import ErrorCode, HeliconError


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider as it can be called: its base URL, and its key ("": it needs none)."""

    provider: Provider
    url: str
    key: str

    @property
    def own(self) -> bool:
        """Whether the URL is the vendor's own; else nobody here knows what is offered there."""
        return self.url == self.provider.url


@dataclass(frozen=True)
class Offers:
    """What is offered.

    `read_live` gives the live settings in force; `urls` are base URLs by provider
    (`shared.config.read_provider_urls`).
    """

    read_live: Callable[[], LiveSettings]
    catalogue: Catalogue
    urls: Mapping[str, str]

    @property
    def live(self) -> LiveSettings:
        """The live settings in force."""
        return self.read_live()

    def provider(self, name: str) -> Offer:
        """The provider of that name, "" for the one in use.

        Raises:
            HeliconError: APP_UNAVAILABLE, nobody knows it; NO_PROVIDER_KEY, it needs a key and there is none.
        """
        live = self.live
        provider = self.catalogue.provider(name or live.base.type)
        custom = live.base.custom_url if provider.name == live.base.type else ""
        key = live.provider_key(provider.name)
        if provider.key and not key:
            raise HeliconError(
                ErrorCode.NO_PROVIDER_KEY,
                f"No key is set for the provider {provider.name!r}: set base.{provider.name}_token, or "
                f"{provider.key_env} and start again.",
            )
        return Offer(provider, custom or self.urls[provider.name], key)

    def model(self, provider: str, name: str) -> Model:
        """A model of a provider; "" for the provider in use, and for its default model.

        Raises:
            HeliconError: as `provider`; MODEL_UNSUPPORTED, it does not offer the model.
        """
        offer = self.provider(provider)
        base = self.live.base
        default = base.default_model if offer.provider.name == base.type else ""
        return self.catalogue.model(offer.provider, name or default, any_name=not offer.own)
