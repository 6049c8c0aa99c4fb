"""Which models can be asked, where and with which key: catalogue, live settings and environment together."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from shared.catalogue.catalogue import Catalogue, Model, Provider
from shared.contracts.live import LiveSettings
from shared.domain.errors import ErrorCode, HeliconError

LONGEST_NAME = 200
"""Characters of a model's name."""
_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


def _tells_nothing(_provider: str) -> None:
    """A provider that has not told its models."""


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

    @property
    def any_name(self) -> bool:
        """Whether any model's name is taken."""
        return self.provider.open or not self.own


@dataclass(frozen=True)
class Offers:
    """What is offered.

    `read_live` gives the live settings in force; `urls` are base URLs by provider
    (`shared.config.read_provider_urls`); `told` gives the models that a provider itself says it has, None where it has
    not said. Then an open one takes any name.
    """

    read_live: Callable[[], LiveSettings]
    catalogue: Catalogue
    urls: Mapping[str, str]
    told: Callable[[str], Sequence[str] | None] = _tells_nothing

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

    @property
    def default_name(self) -> str:
        """Name of the model that stands for none, also where there is no key for it."""
        base = self.live.base
        return base.default_model or self.catalogue.provider(base.type).default_model

    def available(self) -> list[Offer]:
        """The providers that can be asked, the one in use first.

        Those are the one in use and others that there is a key for; of others that need none, those whose URL was set.
        """
        in_use = self.live.base.type
        names = [in_use, *(name for name in self.catalogue.providers if name != in_use)]
        usable = [name for name in names if self.live.provider_key(name) or not self.catalogue.provider(name).key]
        offers = [self.provider(name) for name in usable]
        return [offer for offer in offers if offer.provider.name == in_use or offer.key or not offer.own]

    def models(self) -> list[Model]:
        """The models that are listed by name, the default one first; where `any_name` is taken, there are more."""
        return [self._model_at(offer, name) for name, offer in self._listed().items()]

    @property
    def any_name(self) -> bool:
        """Whether there is a provider that takes any model's name."""
        return any(self._takes_any(offer) for offer in self.available())

    def named(self, name: str) -> Model:
        """The model of that name: one that is listed, or one of a provider that takes any name.

        Raises:
            HeliconError: MODEL_UNSUPPORTED, nobody offers it; the message lists what is offered.
        """
        listed = self._listed()
        if name in listed:
            return self._model_at(listed[name], name)
        for offer in self.available():
            if self._takes_any(offer) and _may_be_a_name(name):
                return self._model_at(offer, name)
        offered = ", ".join(listed) or "none, for no provider has a key"
        raise HeliconError(ErrorCode.MODEL_UNSUPPORTED, f"{name!r} is not offered; these are: {offered}.")

    def spelled(self, name: str) -> str:
        """A name as the list spells it, where people wrote it with other capitals and it can mean one model alone."""
        alike = [listed for listed in self._listed() if listed.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else name

    def of_mode(self, mode: str) -> Model:
        """The model that a user's mode stands for: the default one if they chose none, or one that is offered no more.

        (Their chats go on, rather than to fail until they choose again; the mode is kept, and holds again when the
        model is offered again.)

        Raises:
            HeliconError: as `model`.
        """
        if mode:
            try:
                return self.named(mode)
            except HeliconError as error:
                if error.code is not ErrorCode.MODEL_UNSUPPORTED:
                    raise
        return self.model("", "")

    def _listed(self) -> dict[str, Offer]:
        """The models that are listed, and who offers them."""
        found = dict[str, Offer]()
        with suppress(HeliconError):  # the default model itself need not be offered
            found[self.model("", "").name] = self.provider("")
        for offer in self.available():
            for name in self._names_at(offer):
                found.setdefault(name, offer)
        return found

    def _names_at(self, offer: Offer) -> Sequence[str]:
        """A provider's models: those that it tells of, where it does.

        It is believed where any name is taken; what the catalogue does not know costs what its defaults say then. Of
        another provider only models are offered that the catalogue knows too: its list has embeddings and the like, and
        of other models nobody knows the context, the price or the parameters.
        """
        known = [name for vendor, name in self.catalogue.models if vendor == offer.provider.name]
        told = self.told(offer.provider.name) or ()
        if offer.any_name:
            return told or known
        names = {*told, *(_DATED.sub("", name) for name in told)}
        return [name for name in known if name in names] or known

    def _model_at(self, offer: Offer, name: str) -> Model:
        return self.catalogue.model(offer.provider, name, any_name=not offer.own)

    def _takes_any(self, offer: Offer) -> bool:
        return offer.any_name and not self.told(offer.provider.name)


def _may_be_a_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and text.isprintable() and text.split() == [text]
