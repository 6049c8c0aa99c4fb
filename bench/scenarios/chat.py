"""Short answers as fast as they come: what a chat costs."""

from bench.figures import Rows
from bench.load import Load
from bench.scenarios.answers import measure_systems
from bench.stage import Stage
from bench.wires import Answer

NAME = "chat"
ANSWER = Answer(tokens=20)
ANSWERS = (ANSWER,)
AT_ONCE = (1, 50, 200)


def measure(stage: Stage, rows: Rows) -> None:
    """One repeat."""
    for at_once in AT_ONCE[:2] if stage.quick else AT_ONCE:
        load = Load(ANSWER, at_once, warm_seconds=0.5 if stage.quick else 2, seconds=1.5 if stage.quick else 8)
        measure_systems(stage, rows, NAME, load)
