"""What runs say reaches Redis: numbered, joined, once, and never from an attempt that was overtaken."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
import uuid_utils.compat as uuids
from redis import Redis

from servers import temporary_folder
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from services.worker.events.publisher import Publisher
from services.worker.events.voice import Voice
from shared.bus.connection import open_redis
from shared.bus.event_log import FENCE, append_events, fence_off, read_events
from shared.bus.names import events_channel, events_stream, lease
from shared.contracts.events import Closed, Failed, Finished, Place, Text, Usage, decode, unpack
from shared.store.runs.claim import ClaimedRun

FINISHED = Finished(Usage(prompt_tokens=1, completion_tokens=2))


@pytest.fixture
def redis(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    redis = open_redis(valkey_server.url, pool_size=2)
    yield redis
    redis.close()


def claimed(attempt: int = 1) -> ClaimedRun:
    return ClaimedRun(uuids.uuid7(), attempt, uuids.uuid7(), uuids.uuid7(), {}, None)


def unexpected() -> None:
    raise AssertionError("nobody took the run away")


def speak(url: str, work: Callable[[Publisher], Awaitable[None]]) -> None:
    """Do `work` on a loop where a publisher sends."""

    async def main() -> None:
        publisher = Publisher(url)
        sending = asyncio.create_task(publisher.run())
        async with asyncio.timeout(20):
            await work(publisher)
            await publisher.flush()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    asyncio.run(main())


def said(redis: Redis, run: ClaimedRun) -> list[tuple[Place, object]]:
    return [(place, decode(event)) for place, event in read_events(redis, run.id) if place.seq != FENCE]


def test_the_first_text_is_said_at_once_and_what_follows_is_joined(valkey_server: EmbeddedValkey, redis: Redis):
    run = claimed()

    async def work(publisher: Publisher) -> None:
        voice = Voice(publisher, run, 60, on_overtaken=unexpected)
        for piece in ("One", " two", " three"):
            voice.text(piece)
        voice.close(FINISHED, 600)

    speak(valkey_server.url, work)
    assert said(redis, run) == [
        (Place(1, 1), Text("One")),
        (Place(1, 2), Text(" two three")),
        (Place(1, 3), FINISHED),
        (Place(1, 4), Closed()),
    ]
    assert 0 < redis.ttl(events_stream(run.id)) <= 600


def test_text_that_waits_is_said_when_the_pause_is_over(valkey_server: EmbeddedValkey, redis: Redis):
    run = claimed()

    async def work(publisher: Publisher) -> None:
        voice = Voice(publisher, run, 0.01, on_overtaken=unexpected)
        voice.text("One")
        voice.text(" two")
        while len(read_events(redis, run.id)) < 2:
            await asyncio.sleep(0.001)
        voice.close(FINISHED, 600)

    speak(valkey_server.url, work)
    assert [event for _, event in said(redis, run)] == [Text("One"), Text(" two"), FINISHED, Closed()]


def test_listeners_hear_the_same_events_as_the_stream_keeps(valkey_server: EmbeddedValkey, redis: Redis):
    run = claimed()
    with redis.pubsub() as channel:
        channel.subscribe(events_channel(run.id))
        channel.get_message(timeout=5)

        async def work(publisher: Publisher) -> None:
            voice = Voice(publisher, run, 0.01, on_overtaken=unexpected)
            voice.text("One")
            voice.close(FINISHED, 600)

        speak(valkey_server.url, work)
        heard = [unpack(channel.get_message(timeout=5)["data"]) for _ in range(3)]
    assert heard == read_events(redis, run.id)


def test_the_end_gives_the_lease_back(valkey_server: EmbeddedValkey, redis: Redis):
    run = claimed()
    redis.set(lease(run.id, run.attempt), 1)

    async def work(publisher: Publisher) -> None:
        Voice(publisher, run, 0.01, on_overtaken=unexpected).close(FINISHED, 600)

    speak(valkey_server.url, work)
    assert redis.get(lease(run.id, run.attempt)) is None


def test_an_attempt_that_was_overtaken_adds_nothing_and_is_told(valkey_server: EmbeddedValkey, redis: Redis):
    run = claimed()
    failed = Failed("worker_lost", "The worker was lost.")
    told: list[str] = []

    async def work(publisher: Publisher) -> None:
        voice = Voice(publisher, run, 60, on_overtaken=lambda: told.append("overtaken"))
        voice.text("One")
        await publisher.flush()
        before = fence_off(redis, run.id, run.attempt + 1)
        append_events(redis, run.id, run.attempt + 1, before, [failed, Closed()], 600)
        assert told == []
        voice.text(" two")
        voice.close(FINISHED, 600)

    speak(valkey_server.url, work)
    assert told == ["overtaken"] * 3
    assert said(redis, run) == [(Place(1, 1), Text("One")), (Place(2, 2), failed), (Place(2, 3), Closed())]


def test_a_run_that_two_end_at_once_is_ended_once(redis: Redis):
    run = claimed()
    first, second = (fence_off(redis, run.id, run.attempt + 1) for _ in range(2))
    for before in (first, second):
        append_events(redis, run.id, run.attempt + 1, before, [FINISHED, Closed()], 600)
    assert [event for _, event in said(redis, run)] == [FINISHED, Closed()]


def test_what_is_said_while_redis_restarts_arrives_once():
    run = claimed()
    with temporary_folder() as folder, embedded_valkey(folder) as server:

        async def work(publisher: Publisher) -> None:
            voice = Voice(publisher, run, 0.001, on_overtaken=unexpected)
            voice.text("One")
            await publisher.flush()
            await asyncio.to_thread(server.kill)
            voice.text(" two")
            restarting = asyncio.to_thread(server.start)
            voice.close(FINISHED, 600)
            await restarting

        speak(server.url, work)
        redis = open_redis(server.url, pool_size=1)
        assert [event for _, event in said(redis, run)] == [Text("One"), Text(" two"), FINISHED, Closed()]
        redis.close()
