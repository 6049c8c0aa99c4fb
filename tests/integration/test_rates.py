"""Rate limits in Redis: exact over all gateways, all of a request's limits or none, and gone when they are past."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import uuid_utils.compat as uuids
from redis import Redis

from servers import temporary_folder
from services.launcher.embedded.valkey import EmbeddedValkey, embedded_valkey
from shared.bus.connection import open_redis
from shared.bus.names import RATES
from shared.bus.rates import RateLimits, Window
from shared.domain.errors import ErrorCode, HeliconError
from stack import free_port, wait_for


@pytest.fixture
def redis(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    with closing(open_redis(valkey_server.url, pool_size=8)) as redis:
        yield redis


def window(requests: int, kind: str = "user") -> Window:
    """A window of somebody whom nobody has seen before."""
    return Window(kind, str(uuids.uuid7()), requests)


def commands(redis: Redis) -> Counter[str]:
    """How often Redis ran each command so far, within scripts too."""
    stats = redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()})


def test_parallel_requests_through_two_gateways_never_get_more_than_the_limit(valkey_server: EmbeddedValkey):
    limit = window(20)
    with (
        closing(open_redis(valkey_server.url, pool_size=8)) as one,
        closing(open_redis(valkey_server.url, pool_size=8)) as other,
        ThreadPoolExecutor(16) as threads,
    ):
        gateways = [RateLimits(one, 60), RateLimits(other, 60)]
        full = list(threads.map(lambda turn: gateways[turn % 2].take([limit]), range(100)))
    assert full.count([]) == 20


def test_a_request_that_one_limit_refuses_counts_in_none(redis: Redis):
    limits = RateLimits(redis, 60)
    user, key = window(1), window(3, "key")
    assert limits.take([user, key]) == []
    for _ in range(5):
        assert [full.window for full in limits.take([user, key])] == [user]
    assert limits.take([window(9), key]) == []
    assert limits.take([window(9), key]) == []
    assert [full.window for full in limits.take([window(9), key])] == [key]
    assert [full.window for full in limits.take([user, key])] == [user, key]


def test_a_full_window_tells_when_it_has_room_and_then_has_it_for_one(redis: Redis):
    limits, limit = RateLimits(redis, 2), window(2)
    assert limits.take([limit]) == []
    assert limits.take([limit]) == []
    (full,) = limits.take([limit])
    assert 0 < full.wait <= 2
    (later,) = wait_for(lambda: [one for one in limits.take([limit]) if one.wait < full.wait], "the wait gets shorter")
    assert later.wait > 0
    wait_for(lambda: limits.take([limit]) == [], "there is room", 10)


def test_windows_of_different_people_and_kinds_are_apart(redis: Redis):
    limits, somebody = RateLimits(redis, 60), str(uuids.uuid7())
    for limit in (Window("user", somebody, 1), Window("key", somebody, 1), Window("user", f"{somebody}/1", 1)):
        assert limits.take([limit]) == []
        assert [full.window for full in limits.take([limit])] == [limit]


def test_a_check_of_two_limits_is_one_round_trip():
    with (
        temporary_folder() as folder,
        embedded_valkey(folder) as alone,
        closing(open_redis(alone.url, pool_size=1)) as redis,
    ):
        limits, both = RateLimits(redis, 60), [window(9), window(9, "key")]
        limits.take(both)
        before = commands(redis)
        limits.take(both)
        asked = commands(redis) - before
    assert dict(asked) == {"eval": 1, "info": 1, "lindex": 2, "lpush": 2, "ltrim": 2, "expire": 2}


def test_nothing_is_left_of_a_window_that_is_past(redis: Redis):
    limit = window(5)
    RateLimits(redis, 1).take([limit])
    (name,) = redis.keys(f"{RATES}:*{limit.whose}*")
    assert redis.llen(name) == 1
    wait_for(lambda: not redis.exists(name), "the window is gone")


def test_a_redis_that_takes_nothing_more_is_as_good_as_away():
    with (
        temporary_folder() as folder,
        embedded_valkey(folder) as alone,
        closing(open_redis(alone.url, pool_size=1)) as redis,
    ):
        redis.config_set("maxmemory", "1mb")
        with pytest.raises(HeliconError) as refused:
            RateLimits(redis, 60).take([window(5)])
    assert refused.value.code is ErrorCode.EVENTS_UNAVAILABLE


def test_without_redis_nobody_can_say_whether_there_is_room():
    with closing(open_redis(f"redis://127.0.0.1:{free_port()}/0", pool_size=1)) as nobody:
        limits = RateLimits(nobody, 60)
        with pytest.raises(HeliconError) as refused:
            limits.take([window(5)])
    assert refused.value.code is ErrorCode.EVENTS_UNAVAILABLE
