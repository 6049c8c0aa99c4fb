"""What happens in a storm, decided by a seed alone: who asks what, where clients leave or stop, what is killed.

The same seed gives the same plan; how the processes' timing meets it differs from run to run.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.demo.tokens import WORDS

LONGEST_ANSWER = 150
CHATS_OF_A_CLIENT = 8
SHAPES = 12
VICTIMS = ("gateway-1", "gateway-2", "worker-1", "worker-2", "valkey", "postgres")

Deed = Literal["leave", "leave for long", "stop"]


@dataclass(frozen=True)
class Act:
    """What a client does once it has heard so many events."""

    after: int
    deed: Deed


@dataclass(frozen=True)
class ChatPlan:
    """A chat. `continues`: the client's conversation before; `pause`: seconds before it is asked."""

    number: int
    user: str
    shape: int
    query: str
    blocking: bool
    continues: bool
    pause: float
    gateway: int
    acts: tuple[Act, ...]


@dataclass(frozen=True)
class Kill:
    """Who is killed, and for how many seconds it is gone. `emptied`: Valkey comes back without its data."""

    victim: str
    gone: float
    emptied: bool = False


@dataclass(frozen=True)
class Plan:
    """A storm. `models`: what the shapes' apps ask; `clients`: the chats of each, one after the other."""

    seed: int
    models: tuple[str, ...]
    clients: tuple[tuple[ChatPlan, ...], ...]

    def kills(self) -> Iterator[Kill]:
        """The kills, as many as one asks for: every victim once in a round, in an order of chance."""
        chance = random.Random(f"kills of {self.seed}")
        while True:
            for victim in chance.sample(VICTIMS, len(VICTIMS)):
                emptied = victim == "valkey" and chance.random() < 0.3
                yield Kill(victim, chance.choice((0.0, 0.5, 2.0, 4.0)), emptied)


def make_plan(seed: int, chats: int) -> Plan:
    """The storm of that seed."""
    chance = random.Random(seed)
    models = tuple(_model(chance) for _ in range(SHAPES))
    numbers = iter(range(chats))
    clients: list[tuple[ChatPlan, ...]] = []
    while batch := list(itertools.islice(numbers, CHATS_OF_A_CLIENT)):
        # Two clients share a user, so that its tokens are reserved and settled by two chats at once.
        user = f"user-{len(clients) // 2}"
        clients.append(tuple(_chat(chance, seed, number, user) for number in batch))
    return Plan(seed, models, tuple(clients))


def _model(chance: random.Random) -> str:
    """A model that answers with as many words as it is told, or with the question."""
    parts = [f"slow:{chance.choice((5, 20, 40))}"]
    if chance.random() < 0.3:
        parts.append("slow-first:1")
    if chance.random() < 0.6:
        parts.append(f"tokens:{chance.randint(1, LONGEST_ANSWER)}")
    return "demo+" + "+".join(parts)


def _chat(chance: random.Random, seed: int, number: int, user: str) -> ChatPlan:
    words = chance.choices(WORDS, k=chance.randint(1, 25))
    blocking = chance.random() < 0.1
    return ChatPlan(
        number=number,
        user=user,
        shape=chance.randrange(SHAPES),
        query=f"chat {seed}.{number}:" + "".join(words),
        blocking=blocking,
        continues=chance.random() < 0.3,
        pause=chance.uniform(0, 1),
        gateway=chance.randrange(2),
        acts=() if blocking else _acts(chance),
    )


def _acts(chance: random.Random) -> tuple[Act, ...]:
    deeds: list[Deed] = ["leave"] * chance.choice((0, 0, 1, 2))
    if chance.random() < 0.15:
        deeds.append("stop")
    if chance.random() < 0.15:
        deeds.append("leave for long")
    afters = sorted(chance.randint(0, 40) for _ in deeds)
    return tuple(Act(after, deed) for after, deed in zip(afters, deeds, strict=True))
