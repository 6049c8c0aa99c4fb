"""Of earlier turns a model is shown the newest, as many as fit."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.context import Turn, fit_turns

TURNS = st.lists(st.builds(Turn, st.text(max_size=3), st.text(max_size=3), st.integers(0, 50)), max_size=20)


def test_the_oldest_turns_are_dropped():
    turns = [Turn("1", "one", 10), Turn("2", "two", 10), Turn("3", "three", 10)]
    assert fit_turns(turns, 29) == turns[1:]
    assert fit_turns(turns, 30) == turns
    assert fit_turns(turns, 9) == []


def test_nothing_older_than_a_turn_that_does_not_fit_is_shown():
    turns = [Turn("1", "one", 1), Turn("2", "a long one", 100), Turn("3", "three", 1)]
    assert fit_turns(turns, 50) == turns[2:]


@given(TURNS, st.integers(-10, 200))
def test_what_is_shown_is_the_longest_end_that_fits(turns: list[Turn], room: int):
    shown = fit_turns(turns, room)
    kept = len(shown)
    assert shown == turns[len(turns) - kept :]
    assert sum(turn.tokens for turn in shown) <= max(room, 0)
    if kept < len(turns):
        assert sum(turn.tokens for turn in turns[len(turns) - kept - 1 :]) > room
