"""The load: so many clients at once, each asking again when it has its answer, watched for a while."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil

from bench.connection import Connection, Exchange, open_connection
from bench.processes import cpu_of, machine_cpu, memory_of, rss_of
from bench.response import BrokenResponseError
from bench.systems.system import System
from bench.wires import Answer, BrokenAnswerError

OK = 200
AFTER_AN_ERROR_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, and for how long.

    Args:
        answer: to ask for.
        at_once: clients, each with a connection and a user of its own. They begin spread over the time that an answer
            takes, so that paced answers do not go in step.
        warm_seconds: before the watching begins, from when all have begun.
        seconds: of watching.
    """

    answer: Answer
    at_once: int
    warm_seconds: float
    seconds: float


@dataclass
class Seen:
    """What was seen while watching.

    `chats` and `events` are those of answers that ended then; `firsts` and `lasts` seconds from the request to the
    first text and to the end; `cpu` seconds, `memory` MiB and `rss` bytes by part. `own_cpu` is the load generator's,
    `others_cpu` what everything else on the machine used (neither the system, nor the demo upstream, nor we): where it
    is much, the figures say little.
    """

    seconds: float = 0.0
    chats: int = 0
    events: int = 0
    firsts: list[float] = field(default_factory=list)
    lasts: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    rss: dict[str, float] = field(default_factory=dict)
    own_cpu: float = 0.0
    others_cpu: float = 0.0


class Clients:
    """The clients of one load on one system.

    Args:
        system: asked.
        load: what for.
        demo: whose CPU is not the system's.
    """

    def __init__(self, system: System, load: Load, demo: System) -> None:
        self._system = system
        self._load = load
        self._demo = demo
        self._seen = Seen()
        self._watching = False
        self._ended = False

    async def run(self) -> Seen:
        """Begin, watch, and let every client have its last answer."""
        load = self._load
        async with asyncio.TaskGroup() as group:
            for lane in range(load.at_once):
                group.create_task(self._ask_again_and_again(lane))
            await asyncio.sleep(load.answer.seconds + load.warm_seconds)
            before = self._meters()
            self._watching = True
            await asyncio.sleep(load.seconds)
            self._watching, self._ended = False, True
            after = self._meters()
            self._seen.memory, self._seen.rss = memory_of(self._system.roots), rss_of(self._system.roots)
        self._note(before, after)
        return self._seen

    async def _ask_again_and_again(self, lane: int) -> None:
        load, system = self._load, self._system
        request = system.request(load.answer, lane)
        await asyncio.sleep(lane * load.answer.seconds / load.at_once)
        connection: Connection | None = None
        while not self._ended:
            try:
                if connection is None or not connection.usable:
                    connection = await open_connection(system.address, system.wire.first_text)
                self._take(await connection.ask(request))
            except (OSError, TimeoutError, BrokenResponseError, BrokenAnswerError) as error:
                self._seen.errors[f"{type(error).__name__}: {error}"[:200]] += 1
                await asyncio.sleep(AFTER_AN_ERROR_SECONDS)
        if connection is not None:
            connection.close()

    def _take(self, exchange: Exchange) -> None:
        if exchange.status != OK:
            raise BrokenAnswerError(f"status {exchange.status}: {exchange.body[:100]!r}")
        events = self._system.wire.check(exchange.body, self._load.answer)
        if exchange.first is None:
            raise BrokenAnswerError("no first text was seen")
        if self._watching:
            self._seen.chats += 1
            self._seen.events += events
            self._seen.firsts.append(exchange.first - exchange.begun)
            self._seen.lasts.append(exchange.ended - exchange.begun)

    def _meters(self) -> "_Meters":
        system = cpu_of(self._system.roots)
        demo = sum(cpu_of(self._demo.roots).values())
        own = psutil.Process().cpu_times()
        return _Meters(time.perf_counter(), system, demo, own.user + own.system, machine_cpu())

    def _note(self, before: "_Meters", after: "_Meters") -> None:
        seen = self._seen
        seen.seconds = after.time - before.time
        seen.cpu = {part: used - before.system.get(part, 0) for part, used in after.system.items()}
        seen.own_cpu = after.own - before.own
        known = seen.own_cpu + (after.demo - before.demo) + (sum(seen.cpu.values()) if self._system.counted else 0)
        seen.others_cpu = max(after.machine - before.machine - known, 0)


@dataclass(frozen=True, slots=True)
class _Meters:
    time: float
    system: dict[str, float]
    demo: float
    own: float
    machine: float
