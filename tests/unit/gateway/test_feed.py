"""What waits for one reader of a run."""

from services.gateway.streaming.relay import Feed
from shared.contracts.events import Place

FIRST, SECOND = (Place(1, 1), b"{}"), (Place(1, 2), b"{}")


def test_a_reader_takes_everything_that_waits():
    feed = Feed(b"channel", backlog=10)
    feed.put(FIRST)
    feed.put(SECOND)
    assert feed.take() == [FIRST, SECOND]


def test_a_reader_that_got_nothing_since_the_last_tick_is_woken_by_the_next():
    feed = Feed(b"channel", backlog=10)
    feed.put(FIRST)
    feed.take()
    feed.tick()
    feed.put(SECOND)
    assert feed.take() == [SECOND]
    feed.tick()
    feed.tick()
    assert feed.take() == []


def test_one_event_too_many_cuts_the_reader_off():
    feed = Feed(b"channel", backlog=1)
    feed.put(FIRST)
    assert not feed.overrun
    feed.put(SECOND)
    assert feed.overrun
    assert feed.take() == [FIRST]


def test_a_subscription_that_was_made_anew_wakes_the_reader_to_look_for_what_it_missed():
    feed = Feed(b"channel", backlog=10)
    feed.acknowledge()
    assert feed.subscribed.is_set()
    feed.acknowledge()
    assert feed.take() == []
