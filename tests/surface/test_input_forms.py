"""An app's input form: checked by it, and filled into its prompt."""

from typing import Any

import httpx
import pytest

from neighbours import MakeApp
from stack import Stack
from talk import ask, post, shown

FORM = [
    {"variable": "name", "label": "Your name", "required": True, "max_length": 5},
    {"variable": "style", "type": "select", "options": ["plain", "rich"], "default": "plain"},
    {"variable": "note", "type": "paragraph"},
]
PROMPT = "Talk to {{name}} in {{ style }} style. {{note}}{{unknown}}"


@pytest.fixture
def form_client(make_app: MakeApp) -> httpx.Client:
    return make_app(prompt=PROMPT, form=FORM)


@pytest.mark.requirement("v1.chat.inputs", "v1.chat.inputs-prompt", "v1.apps.form", "v1.apps.prompt")
@pytest.mark.parametrize(
    ("inputs", "prompt"),
    [
        ({"name": "Ann"}, "Talk to Ann in plain style. {{unknown}}"),
        (
            {"name": "Ann", "style": "rich", "note": "Hi! ", "unknown": "x"},
            "Talk to Ann in rich style. Hi! {{unknown}}",
        ),
        ({"name": 12}, "Talk to 12 in plain style. {{unknown}}"),
        ({"name": "A\0b", "note": None}, "Talk to Ab in plain style. {{unknown}}"),
    ],
)
def test_inputs_fill_the_variables_of_the_prompt(
    stack: Stack, form_client: httpx.Client, user: str, inputs: dict[str, Any], prompt: str
):
    ask(form_client, user, f"Hello from {user}?", inputs=inputs)
    assert shown(stack, f"Hello from {user}?") == [("system", prompt), ("user", f"Hello from {user}?")]


@pytest.mark.requirement("v1.chat.inputs-prompt")
def test_a_conversation_keeps_the_inputs_that_it_began_with(stack: Stack, form_client: httpx.Client, user: str):
    conversation = ask(form_client, user, inputs={"name": "Ann"})["conversation_id"]
    for query, inputs in (("again", {}), ("and again", {"name": "Bob"})):
        ask(form_client, user, f"{user} {query}", inputs=inputs, conversation_id=conversation)
        assert shown(stack, f"{user} {query}")[0] == ("system", "Talk to Ann in plain style. {{unknown}}")


@pytest.mark.requirement("v1.chat.inputs")
@pytest.mark.parametrize("fields", [{}, {"inputs": None}, {"inputs": {}}, {"inputs": {"undeclared": ["x"]}}])
def test_an_app_without_a_form_takes_any_inputs_and_keeps_none(client: httpx.Client, user: str, fields: dict[str, Any]):
    assert ask(client, user, **fields)["answer"] == "Demo answer to: Hello?"


@pytest.mark.requirement("v1.chat.inputs-required", "v1.chat.inputs-length", "v1.chat.inputs-options")
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "name is required in input form"),
        ({"name": ""}, "name is required in input form"),
        (None, "name is required in input form"),
        ({"name": "Annabel"}, "name in input form must be less than 5 characters"),
        ({"name": "Ann", "style": "x"}, "style in input form must be one of the following: ['plain', 'rich']"),
    ],
)
def test_inputs_that_do_not_fit_the_form_are_refused(
    form_client: httpx.Client, user: str, inputs: dict[str, Any] | None, message: str, mode: str
):
    response = post(form_client, user, inputs=inputs, response_mode=mode)
    assert response.status_code == 400
    assert response.json() == {"code": "invalid_param", "message": message, "status": 400}
