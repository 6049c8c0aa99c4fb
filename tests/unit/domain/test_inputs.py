"""The values of an app's form are checked by it and fill its prompt."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.inputs import InputField, check_inputs, fill_prompt

NAME = InputField("text-input", "Your name", "name", required=True, max_length=5)
STYLE = InputField("select", "Style", "style", default="plain", options=("plain", "rich"))
NOTE = InputField("paragraph", "Note", "note")
FORM = (NAME, STYLE, NOTE)


def test_declared_variables_are_kept_with_their_defaults_and_others_dropped():
    assert check_inputs(FORM, {"name": "Ann", "other": 1}) == {"name": "Ann", "style": "plain", "note": ""}
    assert check_inputs((), {"name": "Ann"}) == {}


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (1.5, "1.5"), ("a\0b", "ab")])
def test_values_become_text(value: object, text: str):
    assert check_inputs([NAME], {"name": value}) == {"name": text}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "name is required in input form"),
        ({"name": None}, "name is required in input form"),
        ({"name": ""}, "name is required in input form"),
        ({"name": "Annabel"}, "name in input form must be less than 5 characters"),
        ({"name": ["Ann"]}, "name in input form must be a string"),
        ({"name": {"a": 1}}, "name in input form must be a string"),
        ({"name": True}, "name in input form must be a string"),
        ({"name": "Ann", "style": "gaudy"}, "style in input form must be one of the following: ['plain', 'rich']"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(values: dict[str, object], message: str):
    with pytest.raises(HeliconError) as refused:
        check_inputs(FORM, values)
    assert (refused.value.code, refused.value.message) == (ErrorCode.INVALID_PARAM, message)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from(["name", "style", "note", "other"]), JSON))
def test_any_values_are_kept_as_text_or_refused(values: dict[str, object]):
    with suppress(HeliconError):
        kept = check_inputs(FORM, values)
        assert set(kept) == {"name", "style", "note"}
        assert all(isinstance(text, str) and "\0" not in text for text in kept.values())


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("Hello {{name}}.", "Hello Ann."),
        ("{{ name }}{{name}}", "AnnAnn"),
        ("{{other}} and {name}", "{{other}} and {name}"),
        ("{{{name}}}", "{Ann}"),
        ("", ""),
    ],
)
def test_known_variables_are_filled_in_and_others_stay(prompt: str, filled: str):
    assert fill_prompt(prompt, {"name": "Ann"}) == filled


def test_a_value_is_not_read_for_variables():
    assert fill_prompt("{{name}}", {"name": "{{secret}}", "secret": "x"}) == "{{secret}}"


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_any_prompt_can_be_filled(prompt: str, values: dict[str, str]):
    if "{{" not in prompt:
        assert fill_prompt(prompt, values) == prompt
    else:
        fill_prompt(prompt, values)
