"""Probes, request ids, and what may be read in the logs."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from uuid import UUID

import httpx
import pytest

from neighbours import MakeApp
from stack import Part, Stack, free_port, wait_for
from talk import CHATS, communicate, post

READY = {"postgres": "ok", "redis": "ok", "events": "ok", "migrations": "ok", "workers": "ok"}
NOWHERE = "redis://127.0.0.1:9/0"


@pytest.mark.requirement("ops.healthz")
def test_healthz_tells_the_version(stack: Stack):
    response = httpx.get(f"{stack.base_url}/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": version("helicon")})


@pytest.mark.requirement("ops.readyz")
def test_readyz_tells_every_check(stack: Stack):
    response = httpx.get(f"{stack.base_url}/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": READY})


@pytest.mark.requirement("ops.readyz-workers")
def test_a_gateway_without_workers_is_ready_with_a_warning(lonely: Stack):
    ready = wait_for(lambda: _without_workers(lonely.base_url), "no worker is there")
    assert ready == {"status": "ok", "checks": {**READY, "workers": "missing"}}


def _without_workers(url: str) -> dict | None:
    response = httpx.get(f"{url}/readyz")
    assert response.status_code == 200
    return response.json() if response.json()["checks"]["workers"] != "ok" else None


@pytest.fixture
def disconnected(stack: Stack) -> Iterator[str]:
    """The base URL of a gateway that reaches no Redis."""
    port = free_port()
    environ = {"HELICON_PORT": str(port), "HELICON_REDIS_URL": NOWHERE, "HELICON_EVENTS_URL": NOWHERE}
    part = Part("disconnected", "services.gateway", {**stack.environ, **environ})
    yield f"http://127.0.0.1:{port}"
    part.stop()


@pytest.mark.requirement("ops.readyz-failed")
def test_a_gateway_that_reaches_no_redis_is_not_ready(disconnected: str):
    response = wait_for(lambda: _asked(f"{disconnected}/readyz"), "the gateway answers")
    checks = {"postgres": "ok", "redis": "failed", "events": "failed", "migrations": "ok", "workers": "missing"}
    assert (response.status_code, response.json()) == (503, {"status": "failed", "checks": checks})
    assert httpx.get(f"{disconnected}/healthz").status_code == 200


def _asked(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=20)
    except httpx.ConnectError:
        return None


@pytest.mark.requirement("ops.request-id")
@pytest.mark.parametrize("path", ["/healthz", "/nothing", f"{CHATS}/x/events", "/communicate"])
def test_a_request_id_comes_back(client: httpx.Client, path: str):
    response = client.get(path, headers={"X-Request-Id": "abc-1.2:3_X"})
    assert response.headers["X-Request-Id"] == "abc-1.2:3_X"


@pytest.mark.requirement("ops.request-id")
@pytest.mark.parametrize("given", [None, "", "a b", "a\u00fc", "<script>", "x" * 129])
def test_a_request_id_is_made_where_none_can_be_used(client: httpx.Client, user: str, given: str | None):
    headers = {} if given is None else {"X-Request-Id": given.encode("latin-1")}
    response = post(client, user, headers=headers, response_mode="streaming")
    assert UUID(response.headers["X-Request-Id"]).version == 7


@pytest.mark.requirement("ops.request-id")
def test_a_request_id_stands_in_the_log(stack: Stack, client: httpx.Client, user: str):
    post(client, user, headers={"X-Request-Id": user})
    lines = [json.loads(line) for line in stack.parts["gateway"].output.splitlines() if user in line]
    assert [(line["event"], line["path"], line["status"]) for line in lines] == [("request", CHATS, 200)]


@pytest.mark.requirement("ops.logs")
def test_no_prompt_answer_or_key_stands_in_any_log(stack: Stack, user: str, make_app: MakeApp, admin: httpx.Client):
    secret = f"secret-{user}"
    for model in ("demo", "demo-cut:2", "demo-500", "demo-malformed:2", "demo-nonsense"):
        client = make_app(model=model, prompt=f"The prompt is {secret}.")
        for mode in ("blocking", "streaming"):
            post(client, user, f"Tell {secret}!", response_mode=mode, inputs={"a": secret})
            post(client, user, f"Tell {secret}!", response_mode=mode, conversation_id=secret)
        client.post("/communicate", content=secret, params={"prompt": secret, "user_id": user})
        client.get(f"{CHATS}/{user}/events", params={"user": secret, "after": secret})
    for prompt in (f"Tell {secret}!", f"/chat {secret}", f"/nothing {secret}"):
        communicate(admin, user, prompt)
    keys = [stack.app_key, stack.admin_key, client.headers["Authorization"].removeprefix("Bearer ")]
    client.get("/nothing", headers={"Authorization": f"Bearer {secret}"})
    for name, part in stack.parts.items():
        found = [word for word in (secret, *keys) if word in part.output]
        assert (name, found) == (name, [])
