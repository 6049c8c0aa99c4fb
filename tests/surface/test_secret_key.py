"""`HELICON_SECRET_KEY`: without the one that the database's secrets were sealed with, nothing starts."""

import pytest

from shared.config import WRONG_KEY
from stack import Part, free_port, wait_for
from twins import Twins


def ended(module: str, environ: dict[str, str]) -> tuple[int, list[str]]:
    """How a part ends by itself: its exit code, and its lines."""
    part = Part("refused", module, environ)
    part.process.wait(60)
    lines = part.output.splitlines()
    return part.stop(), lines


def told(twins: Twins, **environ: str) -> dict[str, str]:
    return {**twins.stack.environ, "HELICON_PORT": str(free_port()), **environ}


MODULES = {"gateway": "services.gateway", "worker": "services.worker"}


@pytest.mark.parametrize("part", MODULES)
@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_wrong_key_is_refused_with_one_line_that_says_what_to_do(twins: Twins, part: str, processes: str):
    environ = told(twins, HELICON_SECRET_KEY="another", HELICON_GATEWAY_PROCESSES=processes)
    code, lines = ended(MODULES[part], environ)
    assert code == 2
    assert lines == [f"helicon {part}: {WRONG_KEY}"]


@pytest.mark.parametrize("part", MODULES)
def test_a_missing_key_is_refused_by_its_name(twins: Twins, part: str):
    environ = told(twins, HELICON_SECRET_KEY="")
    assert ended(MODULES[part], environ) == (2, [f"helicon {part}: HELICON_SECRET_KEY is not set"])


def test_after_a_refused_key_the_right_one_is_welcome(twins: Twins):
    assert ended("services.gateway", told(twins, HELICON_SECRET_KEY="another"))[0] == 2
    again = Part("again", "services.worker", told(twins, HELICON_WORKER_QUEUES="nothing"))
    wait_for(lambda: " ready." in again.output, "it is ready", 60)
    assert again.stop() == 0
