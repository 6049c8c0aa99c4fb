"""What every kind of run is to the lifecycle: something to do, and what came of it so far."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from shared.contracts.events import Usage
from shared.store.runs import NO_USAGE


@dataclass(frozen=True, slots=True)
class Made:
    """What a run has made; the fields are those of `shared.store.runs.RunEnd`."""

    answer: str = ""
    usage: Usage = NO_USAGE
    context_tokens: int = 0
    provider: str | None = None
    model: str | None = None
    price: Decimal = Decimal(0)


class Work(Protocol):
    """The work of one attempt of a run."""

    def do(self) -> None:
        """Do it, to its end, in Celery's thread.

        Raises:
            InterruptedRunError: it was cut.
            ProviderError: a provider failed.
            HeliconError: it can't be done.
        """
        ...

    def made(self) -> Made:
        """What came of it, whether it was done or broke off."""
        ...
