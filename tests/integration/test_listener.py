"""A worker hears what is said on Redis' channels, again after every loss of its connection."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cut_wire import wire_to
from services.launcher.embedded.valkey import EmbeddedValkey
from services.worker.events.listener import Listener, listen
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
        task = asyncio.create_task(listen(url, listeners, silence=0.3))
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


@pytest.mark.parametrize("how", ["cut", "hang"])
def test_a_connection_that_broke_or_fell_silent_is_made_anew_and_the_listeners_are_told(
    valkey_server: EmbeddedValkey, how: str
):
    redis = open_redis(valkey_server.url, pool_size=1)
    one, two = Ear(), Ear()
    with wire_to(valkey_server.url) as (wire, url), listening(url, {f"{how}:1": one, f"{how}:2": two}):
        wait_for(lambda: (one.began, two.began) == (1, 1), "both listen")
        redis.publish(f"{how}:1", "a")
        wait_for(lambda: one.heard == ["a"], "it is heard")
        getattr(wire, how)()
        redis.publish(f"{how}:1", "lost")
        wire.mend()
        wait_for(lambda: one.began == two.began >= 2, "both listen again")
        redis.publish(f"{how}:2", "b")
        wait_for(lambda: two.heard == ["b"], "it is heard")
    assert one.heard == ["a"]
    redis.close()


def test_a_connection_that_is_only_quiet_is_kept(valkey_server: EmbeddedValkey):
    redis = open_redis(valkey_server.url, pool_size=1)
    ear = Ear()
    with wire_to(valkey_server.url) as (_, url), listening(url, {"quiet": ear}):
        wait_for(lambda: ear.began, "it listens")
        wait_for(
            lambda: "ping" in {row["cmd"] for row in redis.client_list(_type="pubsub")}, "it asks for a sign of life"
        )
        redis.publish("quiet", "a")
        wait_for(lambda: ear.heard == ["a"], "it is heard")
        assert ear.began == 1
    redis.close()
