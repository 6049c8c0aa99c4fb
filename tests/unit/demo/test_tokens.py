"""Counting and splitting text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rs_bpe.bpe import openai

from services.demo import tokens

O200K = openai.o200k_base()


def test_each_word_is_one_token_with_its_leading_space():
    assert [O200K.count(word) for word in tokens.WORDS] == [1] * len(tokens.WORDS)


def test_any_prefix_of_the_words_has_as_many_tokens_as_words():
    words = tokens.words(3 * len(tokens.WORDS))
    counts = [O200K.count("".join(words[:number])) for number in range(len(words) + 1)]
    assert counts == list(range(len(words) + 1))


@pytest.mark.parametrize("number", [0, 1, 42, 43, 44, 1000])
def test_as_many_words_come_as_were_asked_for(number):
    assert len(tokens.words(number)) == number


@given(st.text(max_size=200))
def test_splitting_loses_nothing(text):
    assert "".join(tokens.split(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Demo answer to: What is the capital of France, and why?",
        "Demo answer to: Wie heißt die Hauptstadt?\n\nUnd warum: 12345?",
        'Demo answer: you said "one", "two".',
    ],
)
def test_the_pieces_of_an_ordinary_answer_count_as_many_tokens_as_they_are(text):
    pieces = tokens.split(text)
    assert [O200K.count("".join(pieces[:number])) for number in range(len(pieces) + 1)] == list(range(len(pieces) + 1))


def test_tokens_that_are_parts_of_one_character_stay_together():
    assert tokens.split("龘") == ("龘",)
    assert O200K.count("龘") > 1


@given(st.text(max_size=200), st.integers(0, 20))
def test_a_shortened_text_is_a_beginning_within_the_limit(text, limit):
    short = tokens.shorten(text, limit)
    assert text.startswith(short)
    assert tokens.count(short) <= limit


def test_a_prompt_counts_by_the_rule_of_the_cookbook():
    # Three per message, one for each role, "hello world" and "You are kind." as o200k counts them, three for the reply.
    assert tokens.count_prompt([("system", "You are kind."), ("user", "hello world")]) == 3 + 1 + 4 + 3 + 1 + 2 + 3
