"""An app's input form: the values that fill the variables of its prompt."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.domain.errors import HeliconError

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class InputField:
    """One field of the form. `max_length` counts characters; `options` belong to a select."""

    kind: Literal["text-input", "paragraph", "select"]
    label: str
    variable: str
    required: bool = False
    max_length: int | None = None
    default: str = ""
    options: tuple[str, ...] = ()


def check_inputs(form: Sequence[InputField], values: Mapping[str, object]) -> dict[str, str]:
    """The declared variables with their values; undeclared ones are dropped.

    Raises:
        HeliconError: INVALID_PARAM, a value is missing, too long, of a wrong type or not among the options.
    """
    return {field.variable: _check(field, values.get(field.variable)) for field in form}


def _check(field: InputField, value: object) -> str:
    if value is None or value == "":
        if field.required:
            raise HeliconError.invalid(f"{field.variable} is required in input form")
        return field.default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise HeliconError.invalid(f"{field.variable} in input form must be a string")
    text = str(value).replace("\0", "")
    if field.kind == "select" and text not in field.options:
        options = [*field.options]
        raise HeliconError.invalid(f"{field.variable} in input form must be one of the following: {options}")
    if field.max_length is not None and len(text) > field.max_length:
        raise HeliconError.invalid(f"{field.variable} in input form must be less than {field.max_length} characters")
    return text


def fill_prompt(prompt: str, inputs: Mapping[str, str]) -> str:
    """`prompt` with every `{{variable}}` of `inputs` filled in; others stay as they are."""
    return _VARIABLE.sub(lambda match: inputs.get(match[1], match[0]), prompt)
