"""From Redis to the readers: one connection a process, read in batches and fanned out to a feed for each reader.

A feed gets every message of its run's channel in the order of sending. What is lost between (a connection that broke,
a buffer that Redis cut) a reader sees as a gap in the places, and fills from the run's stream.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

import gevent
import hiredis
import structlog
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from redis import ConnectionPool
from redis.exceptions import RedisError

from shared.bus.event_log import Entry
from shared.bus.names import events_channel
from shared.contracts.events import unpack
from shared.domain.errors import ErrorCode, HeliconError

log = structlog.get_logger()

READ_BYTES = 256 * 1024
ACK_SECONDS = 5
LONGEST_BACKOFF = 2.0
SILENCE_SECONDS = 15
"""After so long without a word Redis is asked whether it is there, and after as long again given up."""


class Feed:
    """What one reader of a run has not read yet.

    Args:
        channel: the run's.
        backlog: events that may wait before the reader counts as too slow.
    """

    __slots__ = ("_acknowledged", "_arrived", "_backlog", "_entries", "_idle", "channel", "overrun", "subscribed")

    def __init__(self, channel: bytes, backlog: int) -> None:
        self.channel = channel
        self.overrun = False
        self.subscribed = Signal()
        self._arrived = Signal()
        self._entries: list[Entry] = []
        self._backlog = backlog
        self._idle = False
        self._acknowledged = False

    def acknowledge(self) -> None:
        """Redis has the subscription; one that had it before may have a gap, and its reader is woken to look."""
        if self._acknowledged:
            self._arrived.set()
        self._acknowledged = True
        self.subscribed.set()

    def put(self, entry: Entry) -> None:
        """Give the reader an event; one too many and the feed is cut."""
        if len(self._entries) >= self._backlog:
            self.overrun = True
        else:
            self._entries.append(entry)
        self._arrived.set()

    def tick(self) -> None:
        """Wake a reader that got nothing since the last tick."""
        if self._idle:
            self._arrived.set()
        self._idle = True

    def take(self) -> list[Entry]:
        """Wait for events and take them all; an empty list is a tick: nothing came for a while."""
        self._arrived.wait()
        self._arrived.clear()
        self._idle = False
        entries, self._entries = self._entries, []
        return entries


class Relay:
    """The process's subscription to runs' channels.

    Args:
        url: of the Redis that carries events.
        backlog: as in `Feed`.
        tick_seconds: a reader that gets nothing is woken after one to two of these.
        notices: other channels, and what to do when something is said there, or may have been missed.
    """

    def __init__(
        self,
        url: str,
        *,
        backlog: int,
        tick_seconds: float,
        notices: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> None:
        pool: Any = cast("Any", ConnectionPool).from_url(
            url, protocol=2, socket_connect_timeout=3, socket_timeout=SILENCE_SECONDS, socket_keepalive=True
        )
        self._connection: Any = pool.make_connection()
        self._sending = BoundedSemaphore()
        self._feeds: dict[bytes, list[Feed]] = {}
        self._backlog = backlog
        self._tick_seconds = tick_seconds
        self._notices = {channel.encode(): notice for channel, notice in notices.items()}
        self.connected = Signal()
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def start(self) -> None:
        """Connect, read and tick until `stop`."""
        self._greenlets = [gevent.spawn(self._read_forever), gevent.spawn(self._tick_forever)]

    def stop(self) -> None:
        """End reading and ticking."""
        gevent.killall(self._greenlets)
        self._disconnect()

    @contextmanager
    def listen(self, run: UUID) -> Generator[Feed]:
        """A feed of the run's events from now on: Redis has acknowledged it when this returns.

        Raises:
            HeliconError: EVENTS_UNAVAILABLE.
        """
        feed = Feed(events_channel(run).encode(), self._backlog)
        listeners = self._feeds.setdefault(feed.channel, [])
        listeners.append(feed)
        try:
            if listeners[0].subscribed.is_set():
                feed.acknowledge()
            else:
                self._send(b"SUBSCRIBE", feed.channel)
            if not feed.subscribed.wait(ACK_SECONDS):
                raise _away()
            yield feed
        finally:
            self._forget(feed)

    def _forget(self, feed: Feed) -> None:
        listeners = self._feeds[feed.channel]
        listeners.remove(feed)
        if not listeners:
            del self._feeds[feed.channel]
            self._send(b"UNSUBSCRIBE", feed.channel)

    def _send(self, command: bytes, *channels: bytes) -> None:
        """Say a command, as long as there is a connection; a new one is told all channels at once."""
        with self._sending:
            # What was true before others had their turn need not be true any more.
            resumed = command == b"UNSUBSCRIBE" and channels[0] in self._feeds
            if resumed or not self.connected.is_set():
                return
            packed = cast("Any", hiredis).pack_command((command, *channels))
            try:
                self._connection.send_packed_command([packed], check_health=False)
            except (RedisError, OSError) as error:
                log.warning("relay.send_failed", error=str(error))  # the reader sees the same and connects anew

    def _read_forever(self) -> None:
        backoff = 0.1
        while True:
            try:
                self._connect()
                backoff = 0.1
                self._read()
            except (RedisError, hiredis.HiredisError, OSError, EOFError) as error:
                log.warning("relay.disconnected", error=str(error))
            except Exception:
                log.exception("relay.crashed")  # a message that can't be read: all streams must not fall silent
            self._disconnect()
            gevent.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    def _connect(self) -> None:
        self._connection.connect()
        self.connected.set()
        if self._feeds or self._notices:
            self._send(b"SUBSCRIBE", *self._feeds, *self._notices)

    def _disconnect(self) -> None:
        self.connected.clear()
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.subscribed.clear()
        self._connection.disconnect()

    def _read(self) -> None:
        receive = self._connection._get_socket().recv  # noqa: SLF001 - redis-py's own reader halves the relay's pace
        reader = hiredis.Reader()
        asked = False
        while True:
            try:
                read = receive(READ_BYTES)
            except TimeoutError:
                if asked:
                    raise
                asked = True
                self._send(b"PING")
                continue
            if not read:
                raise EOFError("Redis closed the connection")
            asked = False
            reader.feed(read)
            while (message := reader.gets()) is not False:
                self._dispatch(message)
            gevent.sleep(0)  # a socket that always has more would never let the readers run

    def _dispatch(self, message: object) -> None:
        if isinstance(message, hiredis.HiredisError):
            raise message
        if not isinstance(message, list):
            return  # the answer to a PING before the first subscription
        kind, channel, payload = cast("list[Any]", [*message, None])[:3]
        if channel in self._notices:
            self._notices[channel]()
        elif kind == b"message":
            entry = unpack(payload)
            for feed in self._feeds.get(channel, ()):
                feed.put(entry)
        elif kind == b"subscribe":
            for feed in self._feeds.get(channel, ()):
                feed.acknowledge()

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(self._tick_seconds)
            for feeds in list(self._feeds.values()):
                for feed in feeds:
                    feed.tick()


def _away() -> HeliconError:
    return HeliconError(ErrorCode.EVENTS_UNAVAILABLE, "Redis is away. Try again in a moment.", retry_after=2)
