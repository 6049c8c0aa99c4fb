"""Many open streams on one gateway process, fed straight through Redis: what an open stream and an event cost."""

import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import uvloop

from bench.feed import Feed
from bench.figures import Rows, percentile
from bench.processes import MIB, cpu_of, memory_of
from bench.readers import Reader, Tally, open_reader
from bench.response import BrokenResponseError
from bench.stage import Stage
from bench.systems.gateway import LoneGateway, running_gateway
from bench.wires import Answer

NAME = "streams"
ANSWERS: tuple[Answer, ...] = ()
OPENING = 32
"""Streams that are opened at the same time."""
WARM_STREAMS = 10
BEFORE_AND_AFTER_SECONDS = 1.5
"""The CPU of an event is looked at without the first and the last of them."""
END_SECONDS = 60
KIB = 1024


@dataclass(frozen=True, slots=True)
class Streams:
    """So many streams of so many events, one each `pause` seconds."""

    open: int
    events: int
    pause: float

    @property
    def seconds(self) -> float:
        """How long they speak."""
        return self.events * self.pause


# The second and the third say the same 2,000 events a second, so that what differs is the number of streams.
LOADS = (Streams(2000, 12, 1.0), Streams(1000, 20, 0.5), Streams(100, 200, 0.05))
QUICK_LOADS = (Streams(50, 8, 0.5), Streams(20, 40, 0.1))


@dataclass
class _Seen:
    opened_per_second: float = 0.0
    lost: int = 0
    events: int = 0
    cpu: float = 0.0
    kib_per_stream: float = 0.0
    tally: Tally = field(default_factory=Tally)
    errors: Counter[str] = field(default_factory=Counter)


def measure(stage: Stage, rows: Rows) -> None:
    """One repeat; each load has a gateway of its own, so that memory begins at the same height."""
    _allow_many_files()
    for load in QUICK_LOADS if stage.quick else LOADS:
        with tempfile.TemporaryDirectory(dir=stage.folder) as temporary:
            folder = Path(temporary)
            folder.chmod(0o711)
            with running_gateway(folder) as gateway:
                runs = gateway.make_runs(load.open + WARM_STREAMS)
                seen = uvloop.run(_watch(gateway, load, runs))
        print(f"  {load.open} open: {seen.lost} events lost, {seen.errors.total()} errors", flush=True)
        rows.add(NAME, "helicon", f"{load.open} open", _figures(load, seen), seen.errors)


async def _watch(gateway: LoneGateway, load: Streams, runs: Sequence[UUID]) -> _Seen:
    seen = _Seen()
    warm = await _open_all(gateway, runs[load.open :], seen)
    idle = _memory(gateway)
    begun = time.perf_counter()
    readers = await _open_all(gateway, runs[: load.open], seen)
    seen.opened_per_second = len(readers) / (time.perf_counter() - begun)
    feed = await _begin_feed(gateway, load, runs[: load.open])
    await asyncio.sleep(BEFORE_AND_AFTER_SECONDS)
    events, cpu = seen.tally.events, _cpu(gateway)
    await asyncio.sleep(max(load.seconds - 2 * BEFORE_AND_AFTER_SECONDS, 0.5))
    seen.events, seen.cpu = seen.tally.events - events, _cpu(gateway) - cpu
    seen.kib_per_stream = (_memory(gateway) - idle) * MIB / KIB / load.open
    await _end(feed, readers, load, seen)
    for reader in [*readers, *warm]:
        reader.close()
    return seen


async def _open_all(gateway: LoneGateway, runs: Sequence[UUID], seen: _Seen) -> list[Reader]:
    places = asyncio.Semaphore(OPENING)

    async def open_one(run: UUID) -> Reader | None:
        async with places:
            try:
                return await open_reader(gateway.address, gateway.request(run), seen.tally)
            except (OSError, BrokenResponseError) as error:
                _note(seen, error)
                return None

    opened = await asyncio.gather(*map(open_one, runs))
    return [reader for reader in opened if reader is not None]


async def _begin_feed(gateway: LoneGateway, load: Streams, runs: Sequence[UUID]) -> asyncio.subprocess.Process:
    feed = Feed(redis_url=gateway.redis_url, runs=tuple(runs), rounds=load.events, round_seconds=load.pause)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.feed", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the feed has no pipes")
    process.stdin.write(feed.model_dump_json().encode() + b"\n")
    await process.stdin.drain()
    await process.stdout.readline()  # it begins
    return process


async def _end(feed: asyncio.subprocess.Process, readers: Sequence[Reader], load: Streams, seen: _Seen) -> None:
    """Wait for the ends of all streams, and count what did not come."""
    await asyncio.wait([reader.ended for reader in readers], timeout=load.seconds + END_SECONDS)
    if await feed.wait() != 0:
        seen.errors["the feed failed"] += 1
    for reader in readers:
        seen.lost += load.events + 1 - reader.seen
        if not reader.ended.done():
            seen.errors["a stream without an end"] += 1
        elif (error := reader.ended.exception()) is not None:
            _note(seen, error)
        elif not reader.finished:
            seen.errors["a stream that ends without message_end"] += 1


def _figures(load: Streams, seen: _Seen) -> dict[str, float]:
    window = max(load.seconds - 2 * BEFORE_AND_AFTER_SECONDS, 0.5)
    figures = {
        "events_per_second": seen.events / window,
        "opened_per_second": seen.opened_per_second,
        "events_lost": float(seen.lost),
        "memory_kib_per_stream": seen.kib_per_stream,
    }
    if seen.events:
        figures["cpu_us_per_event"] = seen.cpu / seen.events * 1_000_000
    if seen.tally.lags:
        figures["lag_p50_ms"] = percentile(seen.tally.lags, 0.5) / 1_000_000
        figures["lag_p95_ms"] = percentile(seen.tally.lags, 0.95) / 1_000_000
    return figures


def _note(seen: _Seen, error: BaseException) -> None:
    seen.errors[f"{type(error).__name__}: {error}"[:200]] += 1


def _memory(gateway: LoneGateway) -> float:
    return sum(memory_of([gateway.pid]).values())


def _cpu(gateway: LoneGateway) -> float:
    return sum(cpu_of([gateway.pid]).values())


def _allow_many_files() -> None:
    """A stream is an open file here and in the gateway, which inherits the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
