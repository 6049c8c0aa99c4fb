"""A worker hears what is said on Redis' channels, again after every loss of its connection."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cut_wire import wire_to
from services.launcher.embedded.valkey import EmbeddedValkey
from services.worker.events.listener import Listener, listen
from services.worker.loop import end_tasks
from shared.bus.connection import open_redis
from stack import wait_for


class Ear:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.began = 0

    async def begin(self, _redis: object) -> None:
        self.began += 1


@contextmanager
def listening(url: str, ears: dict[str, Ear]) -> Iterator[None]:
    listeners = {channel: Listener(ear.heard.append, ear.begin) for channel, ear in ears.items()}

    async def work() -> None:
        task = asyncio.create_task(listen(url, listeners))
        await asyncio.to_thread(ended.wait)
        task.cancel()

    ended = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_connection_that_broke_is_made_anew_and_the_listeners_are_told(valkey_server: EmbeddedValkey):
    redis = open_redis(valkey_server.url, pool_size=1)
    one, two = Ear(), Ear()
    with wire_to(valkey_server.url) as (wire, url), listening(url, {"one": one, "two": two}):
        wait_for(lambda: (one.began, two.began) == (1, 1), "both listen")
        redis.publish("one", "a")
        wait_for(lambda: one.heard == ["a"], "it is heard")
        wire.cut()
        redis.publish("one", "lost")
        wire.mend()
        wait_for(lambda: one.began == two.began >= 2, "both listen again")
        redis.publish("two", "b")
        wait_for(lambda: two.heard == ["b"], "it is heard")
    assert one.heard == ["a"]
    redis.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the timers of connections")
def test_the_kernel_asks_whether_the_other_end_is_still_there(valkey_server: EmbeddedValkey):
    ear = Ear()
    with wire_to(valkey_server.url) as (wire, url), listening(url, {"kept": ear}):
        wait_for(lambda: ear.began, "it listens")
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
        (timer,) = [row[5] for row in rows if row[2].endswith(f":{wire.port:04X}") and row[3] == ESTABLISHED]
        kind, _, ticks = timer.partition(":")
        assert kind == KEEP_ALIVE
        assert int(ticks, 16) <= 15 * 100


ESTABLISHED, KEEP_ALIVE = "01", "02"


async def stubborn(cancellations: list[int]) -> None:
    """Swallows the first two cancellations."""
    while len(cancellations) < 3:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancellations.append(1)
    raise asyncio.CancelledError


def test_tasks_that_swallow_a_cancellation_are_ended_all_the_same():
    cancellations: list[int] = []

    async def work() -> list[bool]:
        tasks = [asyncio.create_task(stubborn(cancellations)), asyncio.create_task(asyncio.sleep(60))]
        await asyncio.sleep(0)
        await end_tasks(tasks)
        return [task.cancelled() for task in tasks]

    assert asyncio.run(work()) == [True, True]
    assert len(cancellations) == 3
