"""The providers and models that Helicon knows: data in TOML files beside this module, read once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.domain.errors import ErrorCode, HeliconError


class Provider(BaseModel):
    """A vendor: which wire protocol it speaks, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    protocol: str
    url: str
    key: bool
    key_env: str
    url_env: str
    default_model: str
    open: bool = False
    limit_field: str = "max_tokens"
    balance: str = ""


class Model(BaseModel):
    """A model of a provider. `context` and `answer` are tokens, prices decimal strings for 1,000 tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    name: str
    context: int
    answer: int
    prompt_price: str = "0"
    completion_price: str = "0"
    currency: str = "USD"
    sampling: bool = True


@dataclass(frozen=True)
class Catalogue:
    """All providers by name, and their models by provider and name."""

    providers: Mapping[str, Provider]
    models: Mapping[tuple[str, str], Model]
    defaults: Mapping[str, int] = field(default_factory=dict[str, int])

    def provider(self, name: str) -> Provider:
        """The provider of that name.

        Raises:
            HeliconError: APP_UNAVAILABLE, there is none.
        """
        try:
            return self.providers[name]
        except KeyError:
            known = ", ".join(self.providers)
            raise HeliconError(
                ErrorCode.APP_UNAVAILABLE, f"Provider {name!r} is not known; known are: {known}."
            ) from None

    def model(self, provider: Provider, name: str, *, any_name: bool = False) -> Model:
        """The model `name` of `provider`, "" for its default one.

        Args:
            provider: whose model it is.
            name: as the provider calls it.
            any_name: whether the provider's URL is not its own, so that nobody knows what is offered there.

        Raises:
            HeliconError: MODEL_UNSUPPORTED, the provider does not offer it.
        """
        name = name or provider.default_model
        known = self.models.get((provider.name, name))
        if known is not None:
            return known
        if provider.open or any_name:
            return Model(provider=provider.name, name=name, **self._like_the_default_one(provider))
        offered = ", ".join(model for vendor, model in self.models if vendor == provider.name)
        raise HeliconError(
            ErrorCode.MODEL_UNSUPPORTED, f"Model {name!r} is not offered by {provider.name}; it offers: {offered}."
        )

    def _like_the_default_one(self, provider: Provider) -> dict[str, Any]:
        """An unknown model of the demo upstream is the demo with faults, and costs the same; others are unpriced."""
        known = self.models.get((provider.name, provider.default_model))
        if provider.name == "demo" and known is not None:
            return known.model_dump(exclude={"provider", "name"})
        return dict(self.defaults)


@cache
def load_catalogue() -> Catalogue:
    """Read the catalogue's files."""
    vendors = _read("providers.toml")
    models = _read("models.toml")
    defaults = models.pop("defaults")
    return Catalogue(
        providers={name: Provider(name=name, **row) for name, row in vendors.items()},
        models={
            (vendor, name): Model(provider=vendor, name=name, **row)
            for vendor, rows in models.items()
            for name, row in rows.items()
        },
        defaults=defaults,
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("shared.catalogue").joinpath(name).read_text("utf-8"))
