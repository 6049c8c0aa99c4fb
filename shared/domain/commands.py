"""Slash commands as they are typed. Which there are and what they do is the gateway's use cases' business."""

from dataclasses import dataclass

PLAIN = "chat"
"""The command that a prompt without one means."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt taken apart.

    `command` is the first word in lower case without its "/", whether there is such a command or not; `word` is that
    word as it was typed, and "" where there was none.
    """

    command: str
    text: str
    word: str = ""


def parse_prompt(prompt: str) -> Prompt:
    """Split `prompt` into its command (the first word if it begins with "/") and its text."""
    stripped = prompt.strip()
    if not stripped.startswith("/"):
        return Prompt(PLAIN, stripped)
    word, *rest = stripped.split(maxsplit=1)
    text = rest[0].strip() if rest else ""
    return Prompt(word[1:].lower(), text, word)
