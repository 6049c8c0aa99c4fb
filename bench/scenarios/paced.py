"""Answers at a model's own pace: what a token costs, and how late it comes."""

from bench.figures import Rows
from bench.load import Load
from bench.scenarios.answers import measure_systems
from bench.stage import Stage
from bench.wires import Answer

NAME = "paced"
ANSWER = Answer(tokens=150, pause_ms=20)
QUICK_ANSWER = Answer(tokens=15, pause_ms=20)
ANSWERS = (ANSWER, QUICK_ANSWER)
AT_ONCE = 100


def measure(stage: Stage, rows: Rows) -> None:
    """One repeat."""
    if stage.quick:
        load = Load(QUICK_ANSWER, at_once=20, warm_seconds=0.5, seconds=1.5)
    else:
        load = Load(ANSWER, AT_ONCE, warm_seconds=3, seconds=12)
    measure_systems(stage, rows, NAME, load)
