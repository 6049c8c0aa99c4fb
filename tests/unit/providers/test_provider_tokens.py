"""The tokenizer: what it counts, and that no text makes it slow."""

import threading
import time

import pytest

from services.worker.providers.base import ChatMessage
from services.worker.providers.tokens import count_prompt, count_tokens


def test_texts_count_as_openai_counts_them():
    texts = ("", "hello world", "你好世界", "<|endoftext|>")
    assert [count_tokens(text) for text in texts] == [0, 2, 2, 7]


def test_a_prompt_counts_its_roles_and_what_messages_cost():
    messages = (ChatMessage("system", "hello world"), ChatMessage("user", ""))
    assert count_prompt(messages) == 3 + (3 + 1 + 2) + (3 + 1 + 0)
    assert count_prompt([]) == 3


def test_half_a_surrogate_pair_counts_as_a_question_mark():
    assert count_tokens("\ud800") == count_tokens("?")


@pytest.mark.parametrize(
    "text", ["a", " ", "\n", "9", "!", "你", "😀", "e\u0301", "\0", "aB", "\u200d", "<|endoftext|>"]
)
def test_a_megabyte_of_one_thing_is_counted_in_time(text):
    began = time.perf_counter()
    assert count_tokens(text * (1_000_000 // len(text.encode()))) > 1000
    assert time.perf_counter() - began < 2


def test_all_threads_may_count_first():
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(count_tokens("hello world"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [2] * 16
