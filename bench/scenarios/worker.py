"""As many paced answers as one worker process takes at once: its memory, and its CPU a token."""

from bench.figures import Rows
from bench.load import Load
from bench.scenarios.answers import figures_of, measure_one, system_figures
from bench.stage import Stage
from bench.wires import Answer

NAME = "worker"
ANSWER = Answer(tokens=150, pause_ms=20)
QUICK_ANSWER = Answer(tokens=15, pause_ms=20)
ANSWERS = (ANSWER, QUICK_ANSWER)
AT_ONCE = 256
MB = 1_000_000


def measure(stage: Stage, rows: Rows) -> None:
    """One repeat."""
    if "helicon" not in stage.peers:
        rows.add_absent(NAME, "helicon", stage.absent.get("helicon", "not among the systems"))
        return
    if stage.quick:
        load = Load(QUICK_ANSWER, at_once=40, warm_seconds=0.5, seconds=1.5)
    else:
        load = Load(ANSWER, AT_ONCE, warm_seconds=3, seconds=9)
    seen = measure_one(stage, "helicon", load)
    figures = {**figures_of(seen, load), **system_figures(seen, load), "worker_rss_mb": seen.rss.get("worker", 0) / MB}
    rows.add(NAME, "helicon", f"{load.at_once} at once", figures, seen.errors)
