"""Slash commands are the first word, in any case; everything else is a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.commands import Command, Prompt, parse_prompt


@pytest.mark.parametrize(
    ("typed", "prompt"),
    [
        ("Hello?", Prompt(Command.CHAT, "Hello?")),
        ("  Hello?\n", Prompt(Command.CHAT, "Hello?")),
        ("what is /chat", Prompt(Command.CHAT, "what is /chat")),
        ("/chat Hello?", Prompt(Command.CHAT, "Hello?", "/chat")),
        ("/CHAT   Hello  there ", Prompt(Command.CHAT, "Hello  there", "/CHAT")),
        ("/chat\nHello?\nBye.", Prompt(Command.CHAT, "Hello?\nBye.", "/chat")),
        ("/chat", Prompt(Command.CHAT, "", "/chat")),
        (" /Help ", Prompt(Command.HELP, "", "/Help")),
        ("/help me", Prompt(Command.HELP, "me", "/help")),
        ("/helpme", Prompt(None, "", "/helpme")),
        ("/", Prompt(None, "", "/")),
        ("/ chat", Prompt(None, "chat", "/")),
        ("/nope a b", Prompt(None, "a b", "/nope")),
        ("", Prompt(Command.CHAT, "")),
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
        assert prompt == Prompt(Command.CHAT, typed.strip())


@given(st.sampled_from(Command), st.text())
def test_a_command_is_known_however_it_is_written(command: Command, text: str):
    for word in (command.value, command.value.upper(), command.value.title()):
        assert parse_prompt(f" /{word} {text}") == Prompt(command, text.strip(), f"/{word}")
