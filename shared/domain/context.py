"""Which of a conversation's earlier turns a model is shown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question and its answer. `tokens`: of both, as they were counted when the turn ended."""

    query: str
    answer: str
    tokens: int


def fit_turns(turns: Sequence[Turn], room: int) -> list[Turn]:
    """The newest of `turns` (oldest first, as they come back) whose tokens fit into `room` together."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        room -= turn.tokens
        if room < 0:
            break
        kept.append(turn)
    return kept[::-1]
