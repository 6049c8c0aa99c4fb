"""What Helicon says to users by itself, in their language: the words are data, in `texts.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

Texts = Mapping[str, Mapping[str, str]]
"""The texts by their names (`mode.chosen`), each by language."""


@cache
def load_texts() -> Texts:
    """Read the texts."""
    groups = tomllib.loads(resources.files("shared.catalogue").joinpath("texts.toml").read_text("utf-8"))
    return {f"{group}.{name}": text for group, texts in groups.items() for name, text in texts.items()}


def say(lang: str, name: str, **values: object) -> str:
    """A text in a language, with `values` in the places of their names.

    Raises:
        KeyError: there is no such text, or a value is missing.
    """
    return load_texts()[name][lang].format(**values)
