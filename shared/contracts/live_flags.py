"""The live settings as flags: what a gateway or a worker would be started with to have them."""

import re
import shlex
from typing import cast

from shared.contracts.live import DEFAULTS, LiveSettings
from shared.contracts.live_fields import join_list

_BARE = {"base", "llm"}
"""Sections whose keys stand without their section."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def flags_of(live: LiveSettings) -> str:
    """One line of flags, `-key=value ` for every value that differs from its default, quoted for a shell.

    Secrets are masked: a flag that is a mask says nothing, and the key comes from the environment.
    """
    defaults, shown = DEFAULTS.shown(), live.shown()
    return "".join(
        f"-{key if section in _BARE else f'{section}.{key}'}={_quoted(_as_text(value))} "
        for section, values in shown.items()
        for key, value in values.items()
        if value != defaults[section][key]
    )


def _as_text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return join_list(cast("list[str]", value))
        case None:
            return ""
        case _:
            return str(value)


def _quoted(text: str) -> str:
    r"""The text as a shell reads it, in one line: `plain`, `'with blanks'`, `$'with\x0aline ends'`."""
    if not text:
        return ""
    if not _CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", r"\\").replace("'", r"\'")
    return "$'" + _CONTROL.sub(lambda match: f"\\{ord(match[0]):03o}", escaped) + "'"
