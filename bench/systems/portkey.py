"""Portkey's gateway, as `npx @portkey-ai/gateway` runs it."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from bench.environments import node_environment, version_of
from bench.systems.system import Program, System, answers, free_address
from bench.wires import Answer, OpenAI

READY_SECONDS = 60


@contextmanager
def running_portkey(folder: Path, demo_url: str, wanted: Iterable[Answer]) -> Generator[System]:  # noqa: ARG001 - any model is passed on
    """Portkey's gateway in front of the demo upstream.

    Raises:
        UnavailableError: it can't be installed, or did not start.
    """
    environment = node_environment("portkey")
    address = free_address()
    server = environment / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    arguments = ("node", str(server), f"--port={address.port}", "--headless")
    program = Program(arguments, folder / "portkey.log", {"NODE_ENV": "production"}, environment)
    headers = {
        "Authorization": "Bearer sk-bench",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{demo_url}/v1",
    }
    with program.running(lambda: answers(address.url), READY_SECONDS) as pid:
        yield System("portkey", version_of("portkey"), address, OpenAI(), lambda _: headers, (pid,))
