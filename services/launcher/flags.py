"""Every setting as a flag: made from the settings' own classes, and checked by them.

A process's settings look like `--ping-seconds 5`; the live settings keep the style of the original, `-max_tokens=77`.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.config import PREFIX
from shared.contracts.live import Base, Llm, Place
from shared.contracts.live_fields import SECRET

SINGLE_DASH = re.compile(r"-[A-Za-z]\w+")


class SettingsCommand(click.Command):
    """A command that names an unknown `-some_setting` as it was written; click would read it as `-s`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after a look at the flags of the original's style."""
        options = {name: option for option in self.params for name in option.opts}
        takes_next = False
        for argument in args:
            name, equals, _ = argument.partition("=")
            if argument == "--":
                break
            if not takes_next and SINGLE_DASH.fullmatch(name) and name not in options:
                attached = name[:2] in options and not equals and "_" not in name
                if not attached:
                    raise click.NoSuchOption(name, ctx=ctx)
            option = options.get(name)
            takes_next = isinstance(option, click.Option) and not option.is_flag and not equals and not takes_next
        return super().parse_args(ctx, args)


def setting_flags(
    kind: type[BaseModel], *, first: Sequence[str] = (), short: Mapping[str, str] = MappingProxyType({})
) -> list[click.Parameter]:
    """Flags for all fields of a class of settings, and for the live settings.

    Args:
        kind: the class.
        first: fields that stand at the top of the help.
        short: one-letter names, by field.
    """
    fields = {name: kind.model_fields[name] for name in (*first, *kind.model_fields)}
    own = [
        _flag(name, field, [f"--{name.replace('_', '-')}", *([f"-{short[name]}"] if name in short else [])])
        for name, field in fields.items()
    ]
    return [*own, *live_flags()]


def live_flags() -> list[click.Parameter]:
    """Flags for the live settings."""
    fields = {**Base.model_fields, **Llm.model_fields}
    return [_flag(name, field, [f"-{name}"]) for name, field in fields.items()]


def given(parameters: Mapping[str, str | None]) -> dict[str, str]:
    """The flags that were used, by setting.

    A secret's mask, as `/command/get` shows it, says nothing: what the environment says holds.
    """
    used = {name: value for name, value in parameters.items() if value is not None}
    return {
        name: value
        for name, value in used.items()
        if name not in Base.model_fields or not Place("base", name).is_masked(value)
    }


def _flag(name: str, field: FieldInfo, spellings: list[str]) -> click.Option:
    default: object = field.default
    shown = ("on" if default else "off") if isinstance(default, bool) else default
    facts = [f"default {shown}"] if shown not in {"", ()} else []
    if field.json_schema_extra == SECRET:
        facts.append("secret: better as a variable")
    facts.append(PREFIX + name.upper())
    text = f"{field.description or name}  ({', '.join(facts)})"
    return click.Option([name, *spellings], metavar=_metavar(field), help=text)


def _metavar(field: FieldInfo) -> str:
    if isinstance(field.default, bool):
        return "on|off"
    if isinstance(field.default, int):
        return "N"
    return "NUMBER" if isinstance(field.default, float) else "TEXT"
