"""Kills processes as the plan says, and starts them again as compose or `helicon up` would."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mortal import Mortal
from services.launcher.embedded.ports import free_port
from stack import Part, Stack
from storm.plan import VICTIMS, Kill

TICK = 0.05


class Victim(Protocol):
    """Something that can be killed and started again, on the same port and data."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


class PartVictim:
    """A gateway or a worker. Nobody waits until it is ready: clients have to bear that."""

    def __init__(self, stack: Stack, name: str, module: str, **environ: str) -> None:
        self.parts: list[Part] = []
        self._start = lambda: stack.start(name, module, **environ)

    def start(self) -> None:
        self.parts.append(self._start())

    def kill(self) -> None:
        self.parts[-1].kill()

    def died(self) -> bool:
        """Whether it ended by itself."""
        return self.parts[-1].process.poll() is not None


@dataclass
class Killer:
    """The victims, by name, and what was done to them.

    Its work belongs into the main thread: servers end with the thread that started them.
    """

    victims: dict[str, Victim]
    valkey_data: Path
    urls: list[str]
    done: list[Kill] = field(default_factory=list)
    died: list[str] = field(default_factory=list)

    def rage(self, kills: Iterator[Kill], every: float, over: Callable[[], bool]) -> None:
        """Kill every few seconds until it is over; then everything runs again."""
        gone: dict[str, float] = {}
        next_kill = time.monotonic() + every
        while not over():
            self._bring_back(gone, time.monotonic())
            self._look_for_dead(gone)
            if time.monotonic() >= next_kill:
                next_kill += every
                kill = next(kills)
                if kill.victim not in gone:
                    self.done.append(kill)
                    self.victims[kill.victim].kill()
                    if kill.emptied:
                        shutil.rmtree(self.valkey_data)
                    gone[kill.victim] = time.monotonic() + kill.gone
            time.sleep(TICK)
        self._bring_back(gone, float("inf"))

    def _bring_back(self, gone: dict[str, float], now: float) -> None:
        for name in [name for name, until in gone.items() if until <= now]:
            del gone[name]
            self.victims[name].start()

    def _look_for_dead(self, gone: dict[str, float]) -> None:
        for name, victim in self.victims.items():
            if name not in gone and isinstance(victim, PartVictim) and victim.died():
                self.died.append(name)
                victim.start()

    def clear(self) -> None:
        """Stop the parts, and remove what they printed."""
        for victim in self.victims.values():
            if isinstance(victim, PartVictim):
                for part in victim.parts:
                    part.stop()

    def logs(self) -> Iterator[str]:
        """What gateways and workers printed, those that were killed included."""
        for victim in self.victims.values():
            if isinstance(victim, PartVictim):
                yield from (part.output for part in victim.parts)


def make_killer(mortal: Mortal) -> Killer:
    """Two gateways and two workers over the stack's servers, all running."""
    ports = [free_port(), free_port()]
    victims: dict[str, Victim] = {"valkey": mortal.valkey, "postgres": mortal.postgres}
    for number, port in enumerate(ports, 1):
        environ = {"HELICON_PORT": str(port)}
        victims[f"gateway-{number}"] = PartVictim(mortal.stack, f"gateway-{number}", "services.gateway", **environ)
        victims[f"worker-{number}"] = PartVictim(mortal.stack, f"worker-{number}", "services.worker")
    assert victims.keys() == set(VICTIMS)
    for victim in victims.values():
        if isinstance(victim, PartVictim):
            victim.start()
    return Killer(
        victims, mortal.valkey.data.place / "valkey" / "appendonlydir", [f"http://127.0.0.1:{port}" for port in ports]
    )
