"""A conversation's first name is its first question, cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.titles import LENGTH, cut_title


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Hello?", "Hello?"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 20 + "…"),
        ("one\n two\tthree", "one two three"),
        ("  \n ", ""),
        ("你好" * 11, "你好" * 10 + "…"),
    ],
)
def test_a_title_is_one_line_of_20_characters(query: str, title: str):
    assert cut_title(query) == title


@given(st.text())
def test_a_title_is_never_longer_nor_of_several_lines(query: str):
    title = cut_title(query)
    assert len(title) <= LENGTH + 1
    assert len(title.splitlines()) <= 1
