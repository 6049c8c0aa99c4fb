"""Slash commands as they are typed. What a command does is the gateway's use cases' business."""

from dataclasses import dataclass
from enum import StrEnum


class Command(StrEnum):
    """The commands of `/communicate`; CHAT is also what a prompt without a command means."""

    CHAT = "chat"
    HELP = "help"


_BY_NAME = {command.value: command for command in Command}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt taken apart.

    `command` is None where the first word begins with "/" and names no command; `word` is that word as it was typed,
    and "" where there was none.
    """

    command: Command | None
    text: str
    word: str = ""


def parse_prompt(prompt: str) -> Prompt:
    """Split `prompt` into its command (the first word if it begins with "/", in any case) and its text."""
    stripped = prompt.strip()
    if not stripped.startswith("/"):
        return Prompt(Command.CHAT, stripped)
    word, *rest = stripped.split(maxsplit=1)
    text = rest[0].strip() if rest else ""
    return Prompt(_BY_NAME.get(word[1:].lower()), text, word)
