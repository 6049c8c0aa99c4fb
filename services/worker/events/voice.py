"""How one run speaks: its events numbered, its text joined so that readers are not sent every token by itself."""

import asyncio
from collections.abc import Callable

from services.worker.events.publisher import Publisher
from shared.bus.event_log import closing_commands, event_commands
from shared.bus.leases import drop_command
from shared.contracts.events import Closed, Event, Place, Text, encode
from shared.store.runs.claim import ClaimedRun


class Voice:
    """Says the events of one attempt of a run. Lives on the loop.

    Args:
        publisher: sends them.
        run: which run and attempt.
        coalesce_seconds: the first text is sent at once, then one in this time at most.
        on_overtaken: is called when somebody has taken the run away: nobody hears this attempt any more.
    """

    def __init__(
        self, publisher: Publisher, run: ClaimedRun, coalesce_seconds: float, on_overtaken: Callable[[], None]
    ) -> None:
        self._publisher = publisher
        self._run = run
        self._coalesce_seconds = coalesce_seconds
        self._on_overtaken = on_overtaken
        self._seq = 0
        self._pieces: list[str] = []
        self._pause: asyncio.TimerHandle | None = None

    def text(self, piece: str) -> None:
        """Say a piece of the answer, now or with what comes soon after."""
        self._pieces.append(piece)
        if self._pause is None:
            self._say_text()

    def close(self, last: Event, keep_seconds: int) -> None:
        """Say the run's last event and that nothing follows, and give its lease back.

        Args:
            last: how it ended.
            keep_seconds: how long its events are kept from now.
        """
        if self._pieces:
            self._say_text()
        if self._pause is not None:
            self._pause.cancel()
        self._say(last)
        self._say(Closed())
        self._publisher.send(
            [*closing_commands(self._run.id, keep_seconds), drop_command(self._run.id, self._run.attempt)]
        )

    def _say_text(self) -> None:
        self._say(Text("".join(self._pieces)))
        self._pieces.clear()
        self._pause = asyncio.get_running_loop().call_later(self._coalesce_seconds, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._pause = None
        if self._pieces:
            self._say_text()

    def _say(self, event: Event) -> None:
        self._seq += 1
        place = Place(self._run.attempt, self._seq)
        self._publisher.send(event_commands(self._run.id, place, encode(event)), self._on_overtaken)
