"""How long a part that died waits."""

from services.launcher.backoff import Backoff


def test_doubles_from_death_to_death_up_to_a_bound() -> None:
    backoff = Backoff()
    assert [backoff.delay_after(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_begins_anew_after_a_healthy_life() -> None:
    backoff = Backoff()
    delays = [backoff.delay_after(lived) for lived in (1, 1, 1, 30, 1)]
    assert delays == [0.5, 1, 2, 0.5, 1]
