"""Web pages of other origins: those that `HELICON_ORIGINS` names may ask, and read the answer."""

import httpx
import pytest

from stack import Stack

PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> str:
    return stack.start_gateway("gateway-with-pages", HELICON_ORIGINS=f"{PAGE},http://localhost:3000")


def preflight(url: str, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return httpx.options(f"{url}/v1/chat-messages", headers=headers)


@pytest.mark.requirement("ops.cors")
@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_a_page_of_a_named_origin_may_ask(gateway: str, origin: str):
    allowed = preflight(gateway, origin)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == origin
    assert {"authorization", "content-type"} <= {
        name.strip() for name in allowed.headers["Access-Control-Allow-Headers"].lower().split(",")
    }
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]


@pytest.mark.requirement("ops.cors")
def test_a_page_of_a_named_origin_may_read_answers_and_failures(gateway: str, stack: Stack):
    body = {"query": "Hello?", "user": "page", "response_mode": "streaming"}
    keys = {"whole": stack.app_key, "refused": "app-nobody"}
    for key in keys.values():
        headers = {"Authorization": f"Bearer {key}", "Origin": PAGE}
        told = httpx.post(f"{gateway}/v1/chat-messages", json=body, headers=headers)
        assert told.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in told.headers["Vary"]
        assert "X-Request-Id" in told.headers["Access-Control-Expose-Headers"]


@pytest.mark.requirement("ops.cors")
@pytest.mark.parametrize("origin", ["https://evil.example.com", "https://app.example.com.evil.com", "null"])
def test_pages_of_other_origins_may_not(gateway: str, origin: str):
    assert "Access-Control-Allow-Origin" not in preflight(gateway, origin).headers


@pytest.mark.requirement("ops.cors")
def test_without_the_setting_no_page_of_another_origin_may(stack: Stack):
    assert "Access-Control-Allow-Origin" not in preflight(stack.base_url, PAGE).headers
