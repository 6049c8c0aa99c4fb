"""What is said to users is said in every language, with the same places to fill in."""

import string
from typing import get_args

import pytest

from services.gateway.usecases.commands import Commands
from shared.catalogue.texts import load_texts, say
from shared.contracts.live import Base

LANGUAGES = set(get_args(Base.model_fields["lang"].annotation))
TEXTS = load_texts()


def places(text: str) -> set[str]:
    """The names in braces; anything else in them is a mistake."""
    fields = [(name, form, conversion) for _, name, form, conversion in string.Formatter().parse(text)]
    assert all((form or "", conversion) == ("", None) for name, form, conversion in fields if name is not None)
    return {name for name, _, _ in fields if name is not None}


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_there_in_every_language_with_the_same_places(name: str):
    assert set(TEXTS[name]) == LANGUAGES
    assert all(text.strip() == text != "" for text in TEXTS[name].values())
    assert len({frozenset(places(text)) for text in TEXTS[name].values()}) == 1


@pytest.mark.parametrize("name", [name for name in TEXTS if not places(TEXTS[name]["en"])])
def test_languages_differ(name: str):
    assert len(set(TEXTS[name].values())) == len(LANGUAGES)


def test_every_command_has_its_line_in_the_help_and_every_line_its_command():
    commands = Commands(None, None, None, None)  # pyright: ignore[reportArgumentType] - its table alone is read
    lines = {name.removeprefix("help.") for name in TEXTS if name.startswith("help.")}
    assert set(commands.table) == lines


def test_a_text_is_filled_in_and_what_fills_it_is_not_read_again():
    assert say("en", "mode.chosen", model="{used} {0}") == "You choose: {used} {0}"
    assert say("ru", "retry.nothing") == "нет предыдущего вопроса"


def test_a_text_that_is_not_there_or_lacks_a_value_is_a_mistake():
    with pytest.raises(KeyError):
        say("en", "nothing.here")
    with pytest.raises(KeyError):
        say("en", "mode.chosen")
