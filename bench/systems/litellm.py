"""LiteLLM's proxy without a database: the lightest way to run it."""

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from bench.environments import python_environment, version_of
from bench.systems.system import Program, System, answers, free_address
from bench.wires import Answer, OpenAI

READY_SECONDS = 180
KEY = "sk-bench"


@contextmanager
def running_litellm(folder: Path, demo_url: str, wanted: Iterable[Answer]) -> Generator[System]:
    """LiteLLM's proxy in front of the demo upstream.

    Raises:
        UnavailableError: it can't be installed, or did not start.
    """
    environment = python_environment("litellm")
    address = free_address()
    config = folder / "litellm.yaml"
    config.write_text(json.dumps(_config(demo_url, wanted)), "utf-8")  # JSON is YAML
    options = ("--config", str(config), "--host", address.host, "--port", str(address.port), "--telemetry", "False")
    # Without it the list of prices is fetched from the network at the start.
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": KEY}
    headers = {"Authorization": f"Bearer {KEY}"}
    program = Program((str(environment / "bin" / "litellm"), *options), folder / "litellm.log", environ, folder)
    with program.running(lambda: answers(f"{address.url}/health/liveliness"), READY_SECONDS) as pid:
        yield System("litellm", version_of("litellm"), address, OpenAI(), lambda _: headers, (pid,))


def _config(demo_url: str, wanted: Iterable[Answer]) -> dict[str, object]:
    upstream = {"api_base": f"{demo_url}/v1", "api_key": KEY}
    models = [
        {"model_name": answer.model, "litellm_params": {"model": f"openai/{answer.model}", **upstream}}
        for answer in wanted
    ]
    return {"model_list": models}
