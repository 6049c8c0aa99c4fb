"""Questions to vendors that are answered with one document, over real HTTP."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from services.worker.providers.base import Amount, Endpoint, Timeouts
from services.worker.providers.documents import LONGEST_DOCUMENT, inquire
from services.worker.providers.errors import ProviderError
from services.worker.providers.http import open_client
from services.worker.providers.registry import BALANCES, MODELS
from shared.catalogue.catalogue import load_catalogue
from shared.domain.errors import ErrorCode
from stack import free_port

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
TOLD = ["demo", "demo-slow:20", "demo-tokens:100"]
PATHS = {"deepseek": "/user/balance", "openrouter": "/v1/credits"}


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    command = [sys.executable, "-m", "services.demo", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().removeprefix("demo upstream listening on ").strip()
        finally:
            process.kill()


def script(demo: str, *items: dict) -> None:
    assert httpx.post(f"{demo}/_script", json=list(items), trust_env=False).status_code == 200


def ask(inquiry, url: str, key: str = KEY, seconds: float = 10):
    async def run():
        async with open_client(Timeouts(connect=5)) as client:
            return await inquire(client, Endpoint("acme", url, key), inquiry, seconds)

    return asyncio.run(run())


def failure(inquiry, url: str, key: str = KEY, seconds: float = 10) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        ask(inquiry, url, key, seconds)
    assert KEY not in failed.value.message
    return failed.value


@pytest.mark.parametrize("base", ["", "/v1", "/v1/"])
def test_models_are_told_in_the_protocol_of_anthropic(demo: str, base: str):
    httpx.delete(f"{demo}/_requests", trust_env=False)
    assert ask(MODELS["anthropic"], demo + base) == TOLD
    (row,) = httpx.get(f"{demo}/_requests", trust_env=False).json()
    assert (row["path"], row["key"]) == ("/v1/models", "sk-***6789")


@pytest.mark.parametrize("key", [KEY, ""])
def test_models_are_told_in_the_protocol_of_openai(demo: str, key: str):
    assert ask(MODELS["openai"], f"{demo}/v1", key) == TOLD


def test_geminis_names_are_those_that_chats_use(demo: str):
    script(demo, {"model": "/v1/models", "text": '{"data": [{"id": "models/gemini-2.5-pro", "object": "model"}]}'})
    assert ask(MODELS["openai"], f"{demo}/v1") == ["gemini-2.5-pro"]


@pytest.mark.parametrize(
    ("name", "amounts"),
    [("deepseek", [Amount(Decimal("110.00"), "CNY")]), ("openrouter", [Amount(Decimal("74.75"), "USD")])],
)
def test_balances_are_told(demo: str, name: str, amounts: list[Amount]):
    assert ask(BALANCES[name], f"{demo}/v1") == amounts


def test_a_balance_in_two_currencies_is_told_in_both(demo: str):
    purses = '[{"currency": "CNY", "total_balance": "1"}, {"currency": "USD", "total_balance": "0.50", "new": 1}]'
    script(demo, {"model": "/user/balance", "text": f'{{"balance_infos": {purses}}}'})
    assert ask(BALANCES["deepseek"], f"{demo}/v1") == [Amount(Decimal(1), "CNY"), Amount(Decimal("0.50"), "USD")]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"status": 500}, ErrorCode.PROVIDER_FAILED),
        ({"status": 401, "error": f"The key {KEY} is wrong."}, ErrorCode.NO_PROVIDER_KEY),
        ({"status": 429}, ErrorCode.PROVIDER_RATE_LIMITED),
        ({"text": "<html>"}, ErrorCode.PROVIDER_FAILED),
        ({"text": ""}, ErrorCode.PROVIDER_FAILED),
        ({"text": "null"}, ErrorCode.PROVIDER_FAILED),
        ({"text": '{"data": {"total_credits": "NaN", "total_usage": 1}}'}, ErrorCode.PROVIDER_FAILED),
        ({"text": '{"balance_infos": [{"currency": 7, "total_balance": "many"}]}'}, ErrorCode.PROVIDER_FAILED),
    ],
)
def test_what_nobody_can_read_is_a_failure(demo: str, name: str, item: dict, code: ErrorCode):
    script(demo, {"model": PATHS[name], **item})
    assert failure(BALANCES[name], f"{demo}/v1").code is code


def test_an_answer_without_end_is_not_read_to_its_end(demo: str):
    script(demo, {"model": "/v1/models", "text": " " * (LONGEST_DOCUMENT + 1)})
    assert "longer than" in failure(MODELS["openai"], f"{demo}/v1").message


def test_a_vendor_that_does_not_answer_is_left_in_time(demo: str):
    script(demo, {"model": "/v1/models", "faults": "demo-hang:0"})
    assert "did not answer within 0.3 s" in failure(MODELS["openai"], f"{demo}/v1", seconds=0.3).message


def test_a_vendor_that_is_not_there_is_a_failure():
    assert failure(MODELS["openai"], f"http://127.0.0.1:{free_port()}/v1").code is ErrorCode.PROVIDER_FAILED


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://somewhere/v1"])
def test_an_address_that_is_none_is_a_failure(url: str):
    assert failure(MODELS["openai"], url).code is ErrorCode.PROVIDER_FAILED


def test_a_key_that_no_header_can_carry_is_a_failure(demo: str):
    assert failure(MODELS["openai"], f"{demo}/v1", key="sk\n").code is ErrorCode.NO_PROVIDER_KEY


def test_every_balance_that_the_catalogue_names_can_be_asked_for():
    named = {provider.balance for provider in load_catalogue().providers.values()} - {""}
    assert named == set(BALANCES)
    assert {provider.protocol for provider in load_catalogue().providers.values()} == set(MODELS)
