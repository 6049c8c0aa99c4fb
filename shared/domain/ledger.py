"""The words and prices of the ledger. Its arithmetic under lock is in the SQL functions of `shared.store`."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class EntryKind(StrEnum):
    """A row of the ledger. The sum of a user's amounts is the user's `avail_token`, always.

    grant: tokens given (or taken back) by an admin, or at first sight. reserve: the most that a call may cost, taken
    before it. settle: the call's tokens are known; its amount gives back what was reserved beyond them, or takes what
    was used beyond the reserve. refund: nothing was made, the whole reserve comes back. overrun: the provider counted
    more than the user had left; its `tokens` are the part that nobody paid, its amount is 0.
    """

    GRANT = "grant"
    RESERVE = "reserve"
    SETTLE = "settle"
    REFUND = "refund"
    OVERRUN = "overrun"


@dataclass(frozen=True, slots=True)
class Prices:
    """What 1,000 tokens cost, in `currency`."""

    prompt: Decimal = Decimal(0)
    completion: Decimal = Decimal(0)
    currency: str = "USD"


PRICE_UNIT = Decimal("0.001")
"""Prices are for 1,000 tokens."""


def price_of(tokens: int, per_thousand: Decimal) -> Decimal:
    """Price of `tokens` tokens at `per_thousand` for 1,000, exact."""
    return tokens * per_thousand * PRICE_UNIT
