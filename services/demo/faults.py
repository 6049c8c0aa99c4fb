"""What a model's name asks the demo upstream to do wrong. Pure: no I/O, no state.

A name is parts joined with "+", the first of which begins with `demo`; later ones may leave `demo-` out:
`demo`, `demo-slow:20+demo-cut:5` and `demo+slow:20+cut:5` are names. Each part stands once, in any order.
`tool` takes the rest of the name, whatever is in it, since JSON may hold "+" and ":"; so it comes last.

| part | meaning |
|---|---|
| `slow-first:SECONDS` | headers at once, then a pause before anything of the answer |
| `slow:MS` | a pause between two tokens |
| `tokens:N` | an answer of exactly N tokens |
| `429:TIMES`, `500:TIMES` | refuse the first calls of this name and key (without TIMES: all); the 429s come first |
| `retry-after:SECONDS` | the header of those refusals |
| `cut:N`, `hang:N` | after N tokens (or all, if there are fewer) close the connection; or say nothing more |
| `malformed:N` | after N tokens (or all) a line that is no JSON, then the rest |
| `nousage` | never send usage |
| `empty` | an answer with no text and a proper end |
| `tool:NAME:JSON` | call a tool with these arguments, sent as they stand (without them: `{}`) |
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FAMILY = "demo"
EVERY_CALL = 1_000_000_000
LONGEST_PAUSE = 86_400.0

_WHOLE_NUMBER = re.compile(r"[0-9]{1,7}")
_DECIMAL = re.compile(r"[0-9]{1,8}(\.[0-9]{1,6})?")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class ModelNameError(ValueError):
    """A model's name that the demo upstream cannot read."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `arguments` is JSON, unless a test wants it not to be."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Faults:
    """What shall go wrong in a call. Pauses are seconds, positions tokens, None and 0 mean that it goes well."""

    slow_first: float = 0.0
    slow: float = 0.0
    tokens: int | None = None
    too_many: int = 0
    broken: int = 0
    retry_after: float | None = None
    cut: int | None = None
    hang: int | None = None
    malformed: int | None = None
    no_usage: bool = False
    empty: bool = False
    tool: ToolCall | None = None


def is_demo_model(name: str) -> bool:
    """Whether the name is of the demo's family, readable or not."""
    return name.startswith(FAMILY)


def parse_model(name: str) -> Faults:
    """Read a model's name.

    Raises:
        ModelNameError: it does not begin with `demo`, or a part is unknown, stands twice or has a wrong value.
    """
    if not is_demo_model(name):
        raise ModelNameError(f"The model {name!r} does not exist: a demo model's name begins with {FAMILY!r}.")
    found: dict[str, Any] = {}
    for part in _parts(name):
        kind, value = _split(part)
        if kind not in _KINDS:
            known = ", ".join(_KINDS)
            raise ModelNameError(f"The model {name!r} does not exist: part {part!r} is unknown; known are: {known}.")
        field, read = _KINDS[kind]
        if field in found:
            raise ModelNameError(f"The model {name!r} does not exist: part {kind!r} stands twice.")
        found[field] = read(kind, value)
    return Faults(**found)


def _parts(name: str) -> list[str]:
    """The parts without their `demo-`; a tool's part is the last one and keeps its "+"."""
    parts: list[str] = []
    rest = name.removeprefix(FAMILY)
    if rest.startswith("-"):
        rest = rest[1:]
    elif rest.startswith("+"):
        rest = rest[1:].removeprefix(f"{FAMILY}-")
    elif not rest:
        return parts
    else:
        raise ModelNameError(f"The model {name!r} does not exist: after {FAMILY!r} comes '-' or '+'.")
    more = True
    while more:
        if rest.startswith("tool:"):
            return [*parts, rest]
        part, plus, rest = rest.partition("+")
        parts.append(part)
        rest = rest.removeprefix(f"{FAMILY}-")
        more = bool(plus)
    return parts


def _split(part: str) -> tuple[str, str | None]:
    kind, colon, value = part.partition(":")
    return kind, value if colon else None


def _count(kind: str, value: str | None) -> int:
    if value is None or not _WHOLE_NUMBER.fullmatch(value):
        raise ModelNameError(
            f"Part {kind!r} takes a whole number of at most 7 digits, as in '{kind}:3', not {value!r}."
        )
    return int(value)


def _times(kind: str, value: str | None) -> int:
    return EVERY_CALL if value is None else _count(kind, value)


def _seconds(kind: str, value: str | None) -> float:
    if value is None or not _DECIMAL.fullmatch(value):
        raise ModelNameError(f"Part {kind!r} takes a decimal number, as in '{kind}:0.5', not {value!r}.")
    return min(float(value), LONGEST_PAUSE)


def _milliseconds(kind: str, value: str | None) -> float:
    return _seconds(kind, value) / 1000


def _switch(kind: str, value: str | None) -> bool:
    if value is not None:
        raise ModelNameError(f"Part {kind!r} takes no value, not {value!r}.")
    return True


def _tool(kind: str, value: str | None) -> ToolCall:
    name, _, arguments = (value or "").partition(":")
    if not _TOOL_NAME.fullmatch(name):
        raise ModelNameError(
            f"Part {kind!r} takes a tool's name and JSON, as in '{kind}:add:{{\"a\": 1}}', not {value!r}."
        )
    return ToolCall(name, arguments or "{}")


_KINDS: dict[str, tuple[str, Callable[[str, str | None], Any]]] = {
    "slow-first": ("slow_first", _seconds),
    "slow": ("slow", _milliseconds),
    "tokens": ("tokens", _count),
    "429": ("too_many", _times),
    "500": ("broken", _times),
    "retry-after": ("retry_after", _seconds),
    "cut": ("cut", _count),
    "hang": ("hang", _count),
    "malformed": ("malformed", _count),
    "nousage": ("no_usage", _switch),
    "empty": ("empty", _switch),
    "tool": ("tool", _tool),
}
