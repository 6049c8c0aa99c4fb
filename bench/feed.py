"""`python -m bench.feed`: says the events of many runs at a steady pace, as a worker would; a process of its own.

It reads one line of JSON (`Feed`), and for each second of its life says what is due, spread evenly over the runs and
over time. Each text is the moment of its sending, so that whoever reads it knows how late it is.
"""

import sys
import time
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.bus.connection import Command, open_redis, send
from shared.bus.event_log import closing_commands, event_commands
from shared.contracts.events import Closed, Finished, Place, Text, Usage, encode

TURN_SECONDS = 0.005
KEEP_SECONDS = 60
ATTEMPT = 1


class Feed(BaseModel):
    """What to say: `rounds` texts in each run, all of a round within `round_seconds`, then the end of each run."""

    model_config = ConfigDict(frozen=True)

    redis_url: str
    runs: tuple[UUID, ...]
    rounds: int
    round_seconds: float


def main() -> None:
    """Say it all."""
    feed = Feed.model_validate_json(sys.stdin.readline())
    redis = open_redis(feed.redis_url, pool_size=1)
    due = [
        (number + place / len(feed.runs)) * feed.round_seconds
        for number in range(feed.rounds)
        for place in range(len(feed.runs))
    ]
    print("begun", flush=True)
    begun = time.monotonic()
    said = 0
    while said < len(due):
        now = time.monotonic() - begun
        commands: list[Command] = []
        while said < len(due) and due[said] <= now:
            number, place = divmod(said, len(feed.runs))
            text = Text(f"{time.monotonic_ns()} ")
            commands += event_commands(feed.runs[place], Place(ATTEMPT, number + 1), encode(text))
            said += 1
        if commands:
            send(redis, commands)
        time.sleep(TURN_SECONDS)
    for run in feed.runs:
        ends = (Finished(Usage()), Closed())
        places = (Place(ATTEMPT, feed.rounds + 1), Place(ATTEMPT, feed.rounds + 2))
        commands = [
            command
            for place, end in zip(places, ends, strict=True)
            for command in event_commands(run, place, encode(end))
        ]
        send(redis, commands + closing_commands(run, KEEP_SECONDS))
    redis.close()


if __name__ == "__main__":
    main()
