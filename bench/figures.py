"""Figures of repeats: medians and ranges."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """The same thing measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of them."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most."""
        return max(self.values)


@dataclass
class Row:
    """A line of the table: a system under a load.

    Args:
        scenario: which.
        system: its name.
        load: in words.
        repeats: what each repeat measured, by the names of the figures.
        errors: how often what went wrong, over all repeats.
        absent: why there is nothing; "" where there is something.
    """

    scenario: str
    system: str
    load: str
    repeats: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])
    errors: dict[str, int] = field(default_factory=dict[str, int])
    absent: str = ""

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures that every repeat has."""
        names = (
            [name for name in self.repeats[0] if all(name in repeat for repeat in self.repeats)] if self.repeats else []
        )
        return {name: Figure(tuple(repeat[name] for repeat in self.repeats)) for name in names}


class Rows:
    """The table as it is filled."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], Row] = {}

    def add(
        self, scenario: str, system: str, load: str, figures: Mapping[str, float], errors: Mapping[str, int]
    ) -> Row:
        """Note what a repeat measured."""
        row = self._row(scenario, system, load)
        row.repeats.append(figures)
        for words, count in errors.items():
            row.errors[words] = row.errors.get(words, 0) + count
        return row

    def add_absent(self, scenario: str, system: str, why: str) -> None:
        """Note that a system could not be measured."""
        self._row(scenario, system, "").absent = why

    def find(self, scenario: str, system: str, load: str) -> Row | None:
        """A line, if it is there and has figures."""
        row = self._rows.get((scenario, system, load))
        return row if row and row.repeats else None

    def all(self) -> list[Row]:
        """The lines, those of a scenario and a load together."""
        order: dict[tuple[str, str], list[Row]] = {}
        for row in self._rows.values():
            order.setdefault((row.scenario, row.load), []).append(row)
        return [row for rows in order.values() for row in rows]

    def _row(self, scenario: str, system: str, load: str) -> Row:
        return self._rows.setdefault((scenario, system, load), Row(scenario, system, load))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of them are not above."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
