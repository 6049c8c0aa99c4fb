"""What every kind of run is to the lifecycle and the keeper."""

from typing import Protocol

from shared.store.runs.settle import Made


class Work(Protocol):
    """The work of one attempt of a run."""

    def do(self) -> None:
        """Do it, to its end, in Celery's thread.

        Raises:
            InterruptedRunError: it was cut.
            HeliconError: it can't be done, or a provider failed (`ProviderError`).
        """
        ...

    def made(self) -> Made:
        """What came of it, whether it was done or broke off."""
        ...
