"""The figures to reach on two cores with everything on them, and what a run says about them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.figures import Rows

MOST, LEAST = "at most", "at least"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach; `measure` gives it, None where the run did not measure it."""

    words: str
    bound: str
    wanted: float
    unit: str
    measure: Callable[[Rows], float | None]

    def judge(self, rows: Rows) -> dict[str, Any] | None:
        """The figure beside what was wanted; None where it was not measured."""
        measured = self.measure(rows)
        if measured is None:
            return None
        reached = measured <= self.wanted if self.bound == MOST else measured >= self.wanted
        return {
            "target": self.words,
            "wanted": f"{self.bound} {self.wanted:g} {self.unit}".strip(),
            "measured": measured,
            "reached": reached,
        }


def judge_all(rows: Rows) -> list[dict[str, Any]]:
    """Every target that the run measured."""
    judged = (target.judge(rows) for target in TARGETS)
    return [row for row in judged if row is not None]


def ratios(rows: Rows) -> list[dict[str, Any]]:
    """Helicon's figures divided by the peers' under the same load."""
    wanted = ("chats_per_second", "cpu_ms_per_chat", "first_token_p50_ms", "first_token_p95_ms", "memory_mib")
    found: list[dict[str, Any]] = []
    for row in rows.all():
        ours = rows.find(row.scenario, "helicon", row.load)
        if ours is None or row.system in {"helicon", "demo"} or not row.repeats:
            continue
        both = [name for name in wanted if name in ours.figures and name in row.figures and row.figures[name].median]
        divided = {name: ours.figures[name].median / row.figures[name].median for name in both}
        found.append({"scenario": row.scenario, "load": row.load, "peer": row.system, **divided})
    return found


def _median(scenario: str, load: str, name: str, system: str = "helicon") -> Callable[[Rows], float | None]:
    def measure(rows: Rows) -> float | None:
        row = rows.find(scenario, system, load)
        figure = row.figures.get(name) if row else None
        return figure.median if figure else None

    return measure


def _ratio(
    above: Callable[[Rows], float | None], below: Callable[[Rows], float | None]
) -> Callable[[Rows], float | None]:
    def measure(rows: Rows) -> float | None:
        one, other = above(rows), below(rows)
        return None if one is None or not other else one / other

    return measure


def _errors(scenario: str, load: str) -> Callable[[Rows], float | None]:
    def measure(rows: Rows) -> float | None:
        row = rows.find(scenario, "helicon", load)
        return None if row is None else float(sum(row.errors.values()))

    return measure


def _worst(scenario: str, processes: str, name: str) -> Callable[[Rows], float | None]:
    """The highest figure of all loads on so many processes."""

    def measure(rows: Rows) -> float | None:
        loads = [row for row in rows.all() if row.scenario == scenario and row.load.endswith(processes)]
        return max((row.figures[name].median for row in loads if name in row.figures), default=None)

    return measure


_PACE = _median("chat", "50 at once", "chats_per_second")
_PEERS_PACE = _median("chat", "50 at once", "chats_per_second", "litellm")

TARGETS = (
    Target("chat, 50 at once", LEAST, 200, "chats/s", _PACE),
    Target("chat, 50 at once, chats/s over LiteLLM's", LEAST, 8, "times", _ratio(_PACE, _PEERS_PACE)),
    Target(
        "chat, 50 at once, CPU of all processes", MOST, 6, "ms a chat", _median("chat", "50 at once", "cpu_ms_per_chat")
    ),
    Target(
        "chat, 1 at once, added first token p50",
        MOST,
        12,
        "ms",
        _median("chat", "1 at once", "added_first_token_p50_ms"),
    ),
    Target(
        "paced, 100 at once, added first token p95",
        MOST,
        60,
        "ms",
        _median("paced", "100 at once", "added_first_token_p95_ms"),
    ),
    Target(
        "paced, 100 at once, CPU of the worker",
        MOST,
        80,
        "us a token",
        _median("paced", "100 at once", "cpu_worker_us_per_token"),
    ),
    Target("streams, 2000 open, errors", MOST, 0, "", _errors("streams", "2000 open")),
    Target("streams, 2000 open, events lost", MOST, 0, "", _median("streams", "2000 open", "events_lost")),
    Target(
        "streams, 2000 open, memory over idle",
        MOST,
        60,
        "KiB a stream",
        _median("streams", "2000 open", "memory_kib_per_stream"),
    ),
    Target(
        "streams, CPU per event at 1000 over that at 100",
        MOST,
        1.5,
        "times",
        _ratio(_median("streams", "1000 open", "cpu_us_per_event"), _median("streams", "100 open", "cpu_us_per_event")),
    ),
    Target(
        "worker, 256 at once, memory of its process",
        MOST,
        250,
        "MB",
        _median("worker", "256 at once", "worker_rss_mb"),
    ),
    Target("lists, 20 at once, the slowest p95, 1 process", MOST, 15, "ms", _worst("lists", "1 process", "p95_ms")),
    Target("lists, 20 at once, the slowest p95, 2 processes", MOST, 15, "ms", _worst("lists", "2 processes", "p95_ms")),
)
