"""Which models are offered: by the provider in use, by others with a key, by those whose URL was set."""

from typing import Any

import pytest

from shared.catalogue.catalogue import load_catalogue
from shared.config import read_provider_urls
from shared.contracts.live import Base, LiveSettings
from shared.contracts.offers import Offers
from shared.domain.errors import ErrorCode, HeliconError

OPENAI = ["gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "o4-mini"]
KEY = {"type": "openai", "openai_token": "sk-1"}


def offers(environ: dict[str, str] | None = None, **base: Any) -> Offers:
    live = LiveSettings(base=Base(**base))
    return Offers(lambda: live, load_catalogue(), read_provider_urls(environ or {}))


def names(offers: Offers) -> list[str]:
    return [model.name for model in offers.models()]


def code_of(offers: Offers, name: str) -> ErrorCode:
    with pytest.raises(HeliconError) as refused:
        offers.named(name)
    return refused.value.code


def test_the_models_of_the_provider_in_use_are_offered():
    assert names(offers(**KEY)) == OPENAI
    assert not offers(**KEY).any_name


def test_a_provider_with_a_key_offers_its_models_too():
    both = offers(**KEY, deepseek_token="sk-2")
    assert names(both) == [*OPENAI, "deepseek-chat", "deepseek-reasoner"]
    assert both.named("deepseek-chat").provider == "deepseek"
    assert both.named("gpt-5").provider == "openai"


def test_without_any_key_nothing_is_offered():
    nothing = offers(type="openai")
    assert names(nothing) == []
    assert code_of(nothing, "gpt-4o") is ErrorCode.MODEL_UNSUPPORTED
    assert nothing.default_name == "gpt-4o-mini"


def test_the_default_model_stands_first():
    assert names(offers(**KEY, default_model="gpt-5")) == ["gpt-5", *(name for name in OPENAI if name != "gpt-5")]


def test_a_default_model_that_is_not_offered_is_not_listed():
    assert names(offers(**KEY, default_model="gpt-nothing")) == OPENAI


def test_a_provider_that_needs_no_key_offers_models_where_it_is_in_use_or_its_url_was_set():
    assert code_of(offers(**KEY), "llama3.2") is ErrorCode.MODEL_UNSUPPORTED
    assert names(offers(type="ollama")) == ["llama3.2"]
    beside = offers({"OLLAMA_BASE_URL": "http://gpu:11434/v1"}, **KEY)
    assert beside.any_name
    assert beside.named("qwen3").provider == "ollama"
    assert beside.named("gpt-5").provider == "openai"


def test_a_provider_in_use_at_another_url_takes_any_name():
    proxy = offers(**KEY, custom_url="http://proxy/v1")
    assert proxy.any_name
    assert (proxy.named("my-model").provider, proxy.named("my-model").name) == ("openai", "my-model")


def test_a_name_that_a_provider_knows_is_its_own_also_where_another_takes_any():
    demo = offers(type="demo", openai_token="sk-1")
    assert demo.named("gpt-5").provider == "openai"
    assert demo.named("gpt-nothing").provider == "demo"


def test_a_mode_stands_for_its_model_or_where_that_is_not_offered_for_the_default_one():
    live = offers(**KEY, default_model="gpt-4o")
    assert [live.of_mode(mode).name for mode in ("", "gpt-5", "deepseek-chat")] == ["gpt-4o", "gpt-5", "gpt-4o"]


def test_a_mode_stands_for_nothing_where_there_is_no_key():
    with pytest.raises(HeliconError) as refused:
        offers(type="openai").of_mode("")
    assert refused.value.code is ErrorCode.NO_PROVIDER_KEY
