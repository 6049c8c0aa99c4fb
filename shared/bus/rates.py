"""Rate limits over all gateways: moving windows in Redis, those of the library `limits`.

The library holds a request to one limit a round trip, and what it took from the first stays taken where the second
refuses. Here a request is held to all of its limits in one round trip, and counts in all of them or in none; else the
windows are as the library keeps them, and it is asked how long a full one stays full. The time is the gateways' own:
their clocks must agree.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple, cast

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis

from shared.bus.connection import answering, send
from shared.bus.names import RATES

_TAKE = """\
local now, seconds, full = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for place, key in ipairs(KEYS) do
    local oldest = redis.call('LINDEX', key, ARGV[place + 2] - 1)
    if oldest and tonumber(oldest) >= now - seconds then full[#full + 1] = place end
end
if #full > 0 then return full end
for place, key in ipairs(KEYS) do
    redis.call('LPUSH', key, ARGV[1])
    redis.call('LTRIM', key, 0, ARGV[place + 2] - 1)
    redis.call('EXPIRE', key, seconds)
end
return full
"""
"""Each key is a list of the times of requests, the newest first; the answer is the places of the full ones."""


class Window(NamedTuple):
    """How many requests somebody may make: `kind` and `whose` name whose they are."""

    kind: str
    whose: str
    requests: int


class Full(NamedTuple):
    """A window without room, and the seconds until it has some."""

    window: Window
    wait: float


class RateLimits:
    """Counts requests.

    Args:
        redis: where they are counted.
        seconds: how long a request counts.
    """

    def __init__(self, redis: Redis, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds
        self._storage = RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix=RATES)
        self._windows = MovingWindowRateLimiter(self._storage)

    def take(self, windows: Sequence[Window]) -> list[Full]:
        """Count a request in all windows, or in none where one is full.

        Returns:
            The full ones.

        Raises:
            HeliconError: EVENTS_UNAVAILABLE.
        """
        keys = [self._storage.prefixed_key(self._item(window).key_for(window.whose)) for window in windows]
        requests = [window.requests for window in windows]
        (places,) = send(self._redis, [("EVAL", _TAKE, len(keys), *keys, repr(time.time()), self._seconds, *requests)])
        with answering():
            full = [windows[place - 1] for place in cast("list[int]", places)]
            return [Full(window, self._wait(window)) for window in full]

    def _wait(self, window: Window) -> float:
        reset, remaining = self._windows.get_window_stats(self._item(window), window.whose)
        return 0 if remaining else reset - time.time()

    def _item(self, window: Window) -> RateLimitItemPerSecond:
        return RateLimitItemPerSecond(window.requests, self._seconds, window.kind)
