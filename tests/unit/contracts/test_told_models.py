"""Which models users may choose: what the catalogue knows, and what providers tell of themselves."""

from collections.abc import Mapping, Sequence

import pytest

from shared.catalogue.catalogue import load_catalogue
from shared.contracts.live import Base, LiveSettings
from shared.contracts.offers import LONGEST_NAME, Offers
from shared.domain.errors import ErrorCode, HeliconError

CATALOGUE = load_catalogue()
URLS = {name: provider.url for name, provider in CATALOGUE.providers.items()}
OPENAI = [name for provider, name in CATALOGUE.models if provider == "openai"]


def offers(told: Mapping[str, Sequence[str]] | None = None, urls: Mapping[str, str] | None = None, **base) -> Offers:
    live = LiveSettings(base=Base(**base))
    return Offers(lambda: live, CATALOGUE, {**URLS, **(urls or {})}, (told or {}).get)


def names(offered: Offers) -> list[str]:
    return [model.name for model in offered.models()]


def test_a_vendor_that_has_not_told_offers_what_the_catalogue_knows():
    assert set(names(offers(type="openai", openai_token="k"))) == set(OPENAI)


def test_of_a_closed_vendor_only_models_are_offered_that_both_know():
    told = {"openai": ["text-embedding-3-small", "gpt-4o-mini", "gpt-5-2025-08-07", "gpt-9"]}
    assert names(offers(told, type="openai", openai_token="k")) == ["gpt-4o-mini", "gpt-5"]


def test_a_dated_name_stands_for_the_one_without():
    told = {"anthropic": ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]}
    offered = offers(told, type="anthropic", anthropic_token="k")
    assert set(names(offered)) == {"claude-sonnet-4-5", "claude-haiku-4-5"}


@pytest.mark.parametrize("told", [[], ["text-embedding-3-small", "gpt-9"]])
def test_a_list_in_which_nothing_is_known_changes_nothing(told: list[str]):
    assert set(names(offers({"openai": told}, type="openai", openai_token="k"))) == set(OPENAI)


def test_an_open_vendor_offers_all_that_it_tells_at_the_catalogues_defaults():
    offered = offers({"ollama": ["llama3.2", "qwen3:4b"]}, type="ollama")
    assert names(offered) == ["llama3.2", "qwen3:4b"]
    model = offered.named("qwen3:4b")
    assert (model.provider, model.context, model.prompt_price) == ("ollama", CATALOGUE.defaults["context"], "0")


def test_a_vendor_at_another_url_offers_all_that_it_tells():
    offered = offers({"openai": ["own-model"]}, {"openai": "http://proxy/v1"}, type="openai", openai_token="k")
    assert names(offered) == ["gpt-4o-mini", "own-model"]


def test_an_open_vendor_that_has_told_does_not_take_any_name():
    offered = offers({"ollama": ["llama3.2"]}, type="ollama")
    assert not offered.any_name
    with pytest.raises(HeliconError) as refused:
        offered.named("mistral")
    assert refused.value.code is ErrorCode.MODEL_UNSUPPORTED
    assert "llama3.2" in refused.value.message


@pytest.mark.parametrize("name", ["mistral", "a" * LONGEST_NAME])
def test_an_open_vendor_that_has_not_told_takes_any_name(name: str):
    assert offers(type="ollama").named(name).name == name


@pytest.mark.parametrize("name", ["", " ", "two words", "a" * (LONGEST_NAME + 1), "tab\t", "zero\0", " mistral"])
def test_but_nothing_that_is_no_name(name: str):
    with pytest.raises(HeliconError):
        offers(type="ollama").named(name)


def test_a_name_is_spelled_as_in_the_list_unless_two_are_alike():
    offered = offers({"ollama": ["llama3.2", "Qwen", "qwen"]}, type="ollama")
    assert [offered.spelled(name) for name in ("LLAMA3.2", "Qwen", "qwen", "QWEN", "nix")] == [
        "llama3.2",
        "Qwen",
        "qwen",
        "QWEN",
        "nix",
    ]
    with pytest.raises(HeliconError):
        offered.named("QWEN")


def test_models_of_every_provider_with_a_key_are_offered_those_of_the_one_in_use_first():
    offered = offers(type="deepseek", deepseek_token="k", openai_token="k")
    assert names(offered)[:2] == ["deepseek-chat", "deepseek-reasoner"]
    assert set(OPENAI) < set(names(offered))
    assert offered.named("gpt-5").provider == "openai"


def test_a_mode_that_is_offered_no_more_stands_for_the_default_model():
    offered = offers({"ollama": ["llama3.2", "qwen"]}, type="ollama")
    assert [offered.of_mode(mode).name for mode in ("qwen", "gone", "")] == ["qwen", "llama3.2", "llama3.2"]
