"""`/command/get`: the flags that a gateway and a worker would be started with to have the values in force."""

import shutil
import subprocess

import httpx
import pytest

from neighbours import Servers, make_database
from shared.store.engine import open_database
from shared.store.keys import create_key
from shared.store.schema import upgrade
from stack import Part, free_port, wait_for
from twins import Twins, data_of

BASH = shutil.which("bash") or "sh"
KEY = "sk-test-0123456789-wxyz"


def flags(twins: Twins) -> str:
    return data_of(twins.gateways[1].get("/command/get"))


def as_a_shell_reads(line: str) -> list[str]:
    return subprocess.run(
        [BASH, "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, text=True
    ).stdout.split("\0")[:-1]


@pytest.mark.requirement("muse.conf.command")
def test_flags_stand_for_what_differs_from_the_defaults_and_nothing_else(twins: Twins):
    assert flags(twins) == "-type=demo -llm_retry_interval=5 -top_p=0.8 "
    twins.update("llm", "top_p", 0.9)
    twins.update("llm", "max_tokens", 77)
    twins.update("llm", "log_probs", "true")
    twins.update("llm", "stop", "ox, yak")
    twins.update("base", "allowed_user_ids", [1, 2])
    assert flags(twins) == (
        "-type=demo -llm_retry_interval=5 -allowed_user_ids=1,2 -max_tokens=77 -stop=ox,yak -log_probs=true "
    )


TRICKY = {
    ("base", "lang"): "ru",
    ("base", "token_per_user"): 0,
    ("base", "max_qa_pair"): 7,
    ("base", "character"): "It's \"short\":\n\t$HOME `x` \\n 100% -max_tokens=1 лиса 🦊'",
    ("base", "default_model"): "demo-tokens:3",
    ("base", "admin_user_ids"): ["ann", "bob, the builder", "[x]"],
    ("llm", "temperature"): 1e-05,
    ("llm", "presence_penalty"): -0.5,
    ("llm", "max_tokens"): 77,
    ("llm", "stop"): ["zebra ", "a,b", "\n", "[1]"],
    ("llm", "log_probs"): True,
}


@pytest.mark.requirement("muse.conf.command", "muse.conf.flags")
def test_a_gateway_and_a_worker_started_with_the_flags_have_the_same_settings(
    twins: Twins, servers: Servers, user: str
):
    for (section, key), value in TRICKY.items():
        twins.update(section, key, value)
    twins.update("base", "openai_token", KEY)
    twins.update("base", "custom_url", f"{twins.stack.demo_url}/v1")
    line = flags(twins)
    assert "\n" not in line
    wanted = twins.values()
    assert all(wanted[section][key] == value for (section, key), value in TRICKY.items())

    url = make_database(servers.postgres, "helicon_flags")
    upgrade(url)
    database = open_database(url)
    with database.write() as session:
        key = create_key(session, kind="admin", app=None)
    environ = {
        **{name: value for name, value in twins.stack.environ.items() if name in KEPT},
        "HELICON_DATABASE_URL": url,
        "HELICON_REDIS_URL": f"{servers.valkey.url.removesuffix('/0')}/5",
        "HELICON_OPENAI_TOKEN": KEY,  # a mask says nothing
        "DEMO_BASE_URL": "http://127.0.0.1:9/v1",
        "HELICON_PORT": str(free_port()),
    }
    parts = [Part(name, "services.launcher", environ, name, *as_a_shell_reads(line)) for name in ("gateway", "worker")]
    headers = {"Authorization": f"Bearer {key}"}
    client = httpx.Client(base_url=f"http://127.0.0.1:{environ['HELICON_PORT']}", headers=headers, timeout=30)
    try:
        wait_for(lambda: _is_ready(client, parts), "both are ready", 60)
        assert data_of(client.get("/conf/get")) == wanted
        assert data_of(client.get("/command/get")) == line
        answer = client.post("/communicate", params={"prompt": user, "user_id": "bob, the builder"})
        assert '"message_end"' in answer.text  # by the worker, at its custom_url
    finally:
        client.close()
        for part in parts:
            part.stop()
        database.close()


KEPT = {"HELICON_SECRET_KEY", "HELICON_LOG_FORMAT", "HELICON_DRAIN_SECONDS"}


def _is_ready(client: httpx.Client, parts: list[Part]) -> bool:
    for part in parts:
        assert part.process.poll() is None, part.output
    try:
        return client.get("/readyz").status_code == 200 and " ready." in parts[1].output
    except httpx.TransportError:
        return False
