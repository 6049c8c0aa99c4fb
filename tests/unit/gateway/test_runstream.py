"""A reader gets every event of its run once and in order, whatever the relay loses, doubles or delays."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.streaming import runstream
from services.gateway.streaming.frames import Frames
from services.gateway.streaming.runstream import Follower, RunIds, rebuild
from services.gateway.streaming.sse import sse
from shared.bus.event_log import FENCE, Entry
from shared.contracts.events import START, Closed, Event, Failed, Finished, Place, Replaced, Text, Usage, encode
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import RunState
from shared.store.runs.read import RunRecord

RUN = UUID(int=1)
FINISHED = Finished(Usage(prompt_tokens=1, completion_tokens=2))


def entries(*events: Event, attempt: int = 1, first: int = 1) -> list[Entry]:
    return [(Place(attempt, seq), encode(event)) for seq, event in enumerate(events, first)]


WHOLE = entries(Text("One"), Text(" two"), Text(" three"), FINISHED, Closed())
EVENTS = [(1, Text("One")), (2, Text(" two")), (3, Text(" three")), (4, FINISHED), (5, Closed())]


class FakeRelay:
    """A feed and the log behind it: each step brings a batch, and tells how much of the log is there by then."""

    def __init__(self, log: list[Entry], steps: list[tuple[list[Entry], int]]) -> None:
        self.log = log
        self.steps = steps
        self.there = 0
        self.overrun = False
        self.reads = 0
        self.record: RunRecord | None = None

    def take(self) -> list[Entry]:
        batch, self.there = self.steps.pop(0) if self.steps else ([], len(self.log))
        return batch

    def read_events(self, _redis, run: UUID, after: Place = START) -> list[Entry]:
        assert run == RUN
        self.reads += 1
        return [entry for entry in self.log[: self.there] if entry[0] > after]


def read(relay: FakeRelay, monkeypatch: pytest.MonkeyPatch, said: list[Entry] | None = None, after: int = 0) -> list:
    monkeypatch.setattr(runstream, "read_events", relay.read_events)
    follower = Follower(relay, None, RUN, lambda: relay.record, after)  # pyright: ignore[reportArgumentType] - a fake
    return list(follower.follow(said or []))


def test_events_are_handed_on_as_they_come(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [(WHOLE[:2], 2), (WHOLE[2:], 5)])
    assert read(relay, monkeypatch) == [EVENTS[:2], EVENTS[2:]]
    assert relay.reads == 0


def test_a_gap_is_filled_from_the_log(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [([WHOLE[0], WHOLE[2]], 3), (WHOLE[3:], 5)])
    assert read(relay, monkeypatch) == [EVENTS[:3], EVENTS[3:]]


def test_an_answer_with_a_hole_is_given_whole_before_its_end(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE[2:], [([WHOLE[0]], 0), (WHOLE[2:], 3)])  # the log lost what the second event said
    relay.record = record(RunState.SUCCEEDED, "One two three")
    told = read(relay, monkeypatch)
    assert told == [EVENTS[:1], [EVENTS[2], (3, Replaced("One two three", "lost")), *EVENTS[3:]]]


def test_a_reader_that_comes_back_has_no_hole_in_what_it_has(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE[2:], [(WHOLE[2:], 3)])
    relay.record = record(RunState.SUCCEEDED, "One two three")
    assert read(relay, monkeypatch, after=2) == [EVENTS[2:]]


def test_a_lost_end_is_found_at_the_next_tick(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [(WHOLE[:2], 2), ([], 5)])
    assert read(relay, monkeypatch) == [EVENTS[:2], EVENTS[2:]]


def test_a_tick_without_news_is_an_empty_batch(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [([], 0), (WHOLE, 5)])
    assert read(relay, monkeypatch) == [[], EVENTS]


def test_what_was_said_before_comes_first_and_is_not_said_twice(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [(WHOLE[1:], 5)])
    assert read(relay, monkeypatch, said=WHOLE[:2]) == [EVENTS[:2], EVENTS[2:]]


def test_what_an_overtaken_attempt_says_is_not_heard(monkeypatch: pytest.MonkeyPatch):
    ended = entries(Failed("worker_lost", "Lost."), Closed(), attempt=2, first=2)
    late = entries(Text(" two"), FINISHED, Closed(), first=2)
    relay = FakeRelay([WHOLE[0], *ended], [([WHOLE[0], ended[0], *late, ended[1]], 3)])
    assert read(relay, monkeypatch) == [[EVENTS[0], (2, Failed("worker_lost", "Lost.")), (3, Closed())]]


def test_what_an_attempt_says_behind_a_fence_is_not_heard(monkeypatch: pytest.MonkeyPatch):
    fence = (Place(2, FENCE), b"")
    late = entries(Text("Two"), Text(" hearts"))
    again = entries(Text("One"), Text(" two"), Text(" three"), FINISHED, Closed(), attempt=2)
    relay = FakeRelay([fence, *again], [([fence, *late], 1), (again, 6)])
    assert read(relay, monkeypatch) == [EVENTS]


def test_what_was_said_before_a_fence_is_heard_though_it_comes_late(monkeypatch: pytest.MonkeyPatch):
    fence = (Place(2, FENCE), b"")
    ended = entries(Failed("worker_lost", "Lost."), Closed(), attempt=2, first=3)
    relay = FakeRelay([*WHOLE[:2], fence, *ended], [([WHOLE[0], fence, WHOLE[1]], 3), (ended, 5)])
    assert read(relay, monkeypatch) == [EVENTS[:1], [EVENTS[1], (3, Failed("worker_lost", "Lost.")), (4, Closed())]]


def test_a_reader_that_is_too_slow_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [(WHOLE[:1], 1)])
    relay.overrun = True
    assert read(relay, monkeypatch, said=WHOLE[:1]) == [EVENTS[:1]]


@st.composite
def relays(draw: st.DrawFn) -> FakeRelay:
    """A relay that loses and doubles events of a run, in steps; the log always has what was heard."""
    texts = draw(st.lists(st.text(min_size=1, max_size=3), max_size=12))
    log = entries(*map(Text, texts), FINISHED, Closed())
    heard = sorted(draw(st.lists(st.integers(0, len(log) - 1), max_size=20)))
    steps: list[tuple[list[Entry], int]] = []
    there = 0
    while heard:
        size = draw(st.integers(0, len(heard)))
        batch, heard = heard[:size], heard[size:]
        there = draw(st.integers(max([there, *(index + 1 for index in batch)]), len(log)))
        steps.append(([log[index] for index in batch], there))
        if not size and draw(st.booleans()):
            break
    return FakeRelay(log, steps)


@given(relays())
def test_every_event_is_read_once_and_in_order_whatever_is_lost(relay: FakeRelay):
    with pytest.MonkeyPatch.context() as monkeypatch:
        batches = read(relay, monkeypatch)
    assert [seq for batch in batches for seq, _ in batch] == [place.seq for place, _ in relay.log]


def record(state: RunState, answer: str = "One two three", **changes) -> RunRecord:
    fields = {
        "id": RUN,
        "attempt": 1,
        "message": UUID(int=2),
        "conversation": UUID(int=3),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "error_code": None,
        "error": None,
        "usage": FINISHED.usage,
        **changes,
    }
    return RunRecord(state=state, answer=answer, **fields)


def test_an_end_that_nobody_says_any_more_comes_from_the_database_with_the_rest(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE[:2], [(WHOLE[:2], 2), ([], 2)])
    relay.record = record(RunState.SUCCEEDED)
    rest = [(3, Text(" three")), (4, FINISHED), (5, Closed())]
    assert read(relay, monkeypatch) == [EVENTS[:2], rest]


def test_an_end_that_was_heard_is_not_said_again_where_the_rest_never_comes(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE[:4], [(WHOLE[:4], 4), ([], 4)])
    relay.record = record(RunState.SUCCEEDED)
    assert read(relay, monkeypatch) == [EVENTS[:4], [(5, Closed())]]


def test_an_end_from_the_database_brings_the_whole_answer_where_the_log_lost_what_a_reader_has(
    monkeypatch: pytest.MonkeyPatch,
):
    relay = FakeRelay([WHOLE[1]], [([], 1)])
    relay.record = record(RunState.SUCCEEDED)
    rest = [(3, Replaced("One two three", "lost")), (4, FINISHED), (5, Closed())]
    assert read(relay, monkeypatch, said=[WHOLE[1]], after=1) == [EVENTS[1:2], rest]


def test_a_reader_that_has_more_than_a_closed_log_is_told_the_whole_answer_and_its_end(monkeypatch: pytest.MonkeyPatch):
    ended = entries(Failed("worker_lost", "Lost."), Closed(), attempt=2, first=2)  # by a keeper who knew of one event
    relay = FakeRelay([WHOLE[0], *ended], [])
    relay.record = record(RunState.FAILED, "One", error_code="worker_lost", error="Lost.")
    (told,) = read(relay, monkeypatch, said=relay.log, after=7)
    assert told == [(8, Replaced("One", "lost")), (9, Failed("worker_lost", "Lost.")), (10, Closed())]


def test_numbers_that_were_lost_and_given_again_are_not_heard_twice(monkeypatch: pytest.MonkeyPatch):
    again = entries(Text("Two hearts"), FINISHED, Closed(), attempt=3)
    relay = FakeRelay(again, [(WHOLE[:3], 0), (again[:1], 1), (again[1:], 3)])
    relay.record = record(RunState.SUCCEEDED, "Two hearts")
    told = [event for batch in read(relay, monkeypatch) for event in batch]
    assert told == [*EVENTS[:3], (4, Replaced("Two hearts", "lost")), (5, FINISHED), (6, Closed())]


def test_an_end_from_the_database_reaches_a_reader_that_has_more_than_the_log(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay([], [([], 0)])  # Redis came back without its data
    relay.record = record(RunState.SUCCEEDED)
    frames = Frames(RunIds(RUN, UUID(int=2), UUID(int=3), datetime(2026, 1, 1, tzinfo=UTC)))
    assert b'"event":"message_end"' in b"".join(sse(read(relay, monkeypatch, after=5), frames, after=5))


def test_a_run_that_still_lives_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [([], 0), ([], 0), (WHOLE, 5)])
    relay.record = record(RunState.RUNNING, "")
    assert read(relay, monkeypatch) == [[], [], EVENTS]


def test_a_log_that_is_away_is_silence_and_not_an_end(monkeypatch: pytest.MonkeyPatch):
    relay = FakeRelay(WHOLE, [([], 0), (WHOLE, 5)])
    answers = iter([HeliconError(ErrorCode.EVENTS_UNAVAILABLE, "Away.")])

    def find() -> None:
        for error in answers:
            raise error

    monkeypatch.setattr(runstream, "read_events", relay.read_events)
    follower = Follower(relay, None, RUN, find)  # pyright: ignore[reportArgumentType] - a fake
    assert list(follower.follow([])) == [[], EVENTS]


@pytest.mark.parametrize(
    ("ended", "end"),
    [
        (record(RunState.SUCCEEDED), FINISHED),
        (record(RunState.STOPPED), Finished(FINISHED.usage, "stopped")),
        (
            record(RunState.FAILED, error_code="provider_failed", error="It broke off."),
            Failed("provider_failed", "It broke off."),
        ),
    ],
)
def test_a_run_is_rebuilt_as_its_whole_answer_and_its_end(ended: RunRecord, end: Event):
    assert list(rebuild(ended, 0)) == [[(1, Text("One two three")), (2, end), (3, Closed())]]


def test_a_run_without_an_answer_is_rebuilt_as_its_end():
    assert list(rebuild(record(RunState.STOPPED, ""), 0)) == [
        [(1, Finished(FINISHED.usage, "stopped")), (2, Closed())],
    ]


@given(st.integers(1, 2**53))
def test_a_reader_that_has_a_part_gets_the_whole_answer_in_its_place_and_the_end(after: int):
    (events,) = rebuild(record(RunState.SUCCEEDED), after)
    assert [event for seq, event in events if seq > after] == [Replaced("One two three", "expired"), FINISHED, Closed()]
