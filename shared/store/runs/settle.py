"""Ending a run. `settle_run` is a SQL function (`migrations/sql`), because every chat goes through it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from uuid import UUID

from shared.contracts.events import Failed, Finished, Usage, last_event
from shared.domain.runs import RunState
from shared.store.engine import Database

_SETTLE = "SELECT * FROM settle_run(%s::jsonb)"

NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Made:
    """What a run has made so far, and what it costs. No tokens in `usage`: nothing, and the reserve comes back whole.

    `context_tokens`: what it costs to show the turn to a model again; `price` is in the usage's currency.
    """

    answer: str = ""
    usage: Usage = NO_USAGE
    context_tokens: int = 0
    provider: str | None = None
    model: str | None = None
    price: Decimal = Decimal(0)


NOTHING = Made()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, and what it made. `error_code` and `error` belong to a run that failed."""

    state: RunState
    made: Made = NOTHING
    error_code: str | None = None
    error: str | None = None

    @property
    def event(self) -> Finished | Failed:
        """What the run says last."""
        return last_event(self.state, self.made.usage, self.error_code, self.error)


Settled = Literal["settled", "already", "overtaken"]


def settle_run(
    database: Database,
    run: UUID,
    attempt: int,
    end: RunEnd,
    settlement: UUID,
    *,
    since: RunState = RunState.RUNNING,
) -> Settled:
    """End a run: its state, the ledger and the message, in one round trip.

    Args:
        database: where the run is.
        run: its id.
        attempt: the attempt that ends it.
        end: how.
        settlement: made up by whoever ends it: with the same one it may ask again when the answer was lost.
        since: the state that the run must still be in.

    Returns:
        "settled"; "already", where this settlement was done before; "overtaken", and nothing was written, where the
        run is another attempt's or was ended by somebody else.

    Raises:
        HeliconError: DATABASE_WRITE_FAILED.
    """
    made, usage = end.made, end.made.usage
    fields = {
        "run": run,
        "attempt": attempt,
        "since": since,
        "settlement": settlement,
        "state": end.state,
        "error_code": end.error_code,
        "error": end.error,
        "answer": made.answer,
        "usage": usage,
        "context_tokens": made.context_tokens,
        "provider": made.provider,
        "model": made.model,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "price": str(made.price),
        "currency": usage.currency,
        "estimated": usage.estimated,
    }
    (settled,) = database.call(_SETTLE, fields)
    return settled
