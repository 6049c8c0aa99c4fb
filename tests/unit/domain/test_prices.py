"""Prices are exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ledger import price_of


@pytest.mark.parametrize(
    ("tokens", "per_thousand", "price"),
    [(1000, "0.002", "0.002"), (1033, "0.001", "0.001033"), (1, "0.00015", "0.00000015"), (0, "5", "0")],
)
def test_a_price_is_for_a_thousand_tokens(tokens: int, per_thousand: str, price: str):
    assert price_of(tokens, Decimal(per_thousand)) == Decimal(price)


@given(st.integers(0, 10**9), st.decimals(0, 1000, places=6))
def test_no_part_of_a_price_is_lost(tokens: int, per_thousand: Decimal):
    assert Fraction(price_of(tokens, per_thousand)) == tokens * Fraction(per_thousand) / 1000
