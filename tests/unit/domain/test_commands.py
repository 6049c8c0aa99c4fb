"""Slash commands are the first word, in any case; everything else is a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import PLAIN, Prompt, parse_prompt


@pytest.mark.parametrize(
    ("typed", "prompt"),
    [
        ("Hello?", Prompt("chat", "Hello?")),
        ("  Hello?\n", Prompt("chat", "Hello?")),
        ("what is /chat", Prompt("chat", "what is /chat")),
        ("/chat Hello?", Prompt("chat", "Hello?", "/chat")),
        ("/CHAT   Hello  there ", Prompt("chat", "Hello  there", "/CHAT")),
        ("/chat\nHello?\nBye.", Prompt("chat", "Hello?\nBye.", "/chat")),
        ("/chat", Prompt("chat", "", "/chat")),
        (" /Help ", Prompt("help", "", "/Help")),
        ("/help me", Prompt("help", "me", "/help")),
        ("/helpme", Prompt("helpme", "", "/helpme")),
        ("/", Prompt("", "", "/")),
        ("/ chat", Prompt("", "chat", "/")),
        ("/nope a b", Prompt("nope", "a b", "/nope")),
        ("//chat", Prompt("/chat", "", "//chat")),
        ("", Prompt("chat", "")),
    ],
)
def test_a_prompt_is_taken_apart(typed: str, prompt: Prompt):
    assert parse_prompt(typed) == prompt


@given(st.text())
def test_any_text_is_a_prompt_and_only_a_slash_makes_a_command(typed: str):
    prompt = parse_prompt(typed)
    assert bool(prompt.word) == typed.strip().startswith("/")
    assert prompt.text == prompt.text.strip()
    if not prompt.word:
        assert prompt == Prompt(PLAIN, typed.strip())


@given(st.sampled_from(["chat", "mode", "retry"]), st.text())
def test_a_command_is_known_however_it_is_written(command: str, text: str):
    for word in (command, command.upper(), command.title()):
        assert parse_prompt(f" /{word} {text}") == Prompt(command, text.strip(), f"/{word}")
