"""The demo upstream straight: what an answer takes with nothing between."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.systems.system import Program, System, answers, free_address
from bench.wires import OpenAI

READY_SECONDS = 30


@contextmanager
def running_demo(folder: Path) -> Generator[System]:
    """A demo upstream.

    Raises:
        UnavailableError: it did not start.
    """
    address = free_address()
    arguments = (sys.executable, "-m", "services.demo", "--host", address.host, "--port", str(address.port))
    program = Program(arguments, folder / "demo.log", {})
    with program.running(lambda: answers(address.url), READY_SECONDS) as pid:
        yield System("demo", "", address, OpenAI(), lambda _: {}, (pid,), counted=False)
