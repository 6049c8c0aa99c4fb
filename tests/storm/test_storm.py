"""The storm as CI has it; `make storm` has bigger ones."""

import random

import pytest

from storm.storm import run_storm


@pytest.mark.timeout(400)
def test_whatever_is_killed_every_chat_has_one_end_and_the_books_are_right():
    seed = random.randrange(1_000_000)
    print(f"storm: seed {seed}")
    outcome = run_storm(seed, chats=200)
    print(outcome.summary)
    assert outcome.complaints == ""
