"""What the demo model says."""

import pytest

from services.demo.answers import Answer, Question, Turn, compose
from services.demo.faults import Faults, ToolCall, parse_model
from services.demo.script import ScriptItem


def ask(*texts, model="demo", roles=None, item=None, **settings):
    turns = tuple(map(Turn, roles or ["user"] * len(texts), texts))
    return compose(Question(model, turns, **settings), parse_model(model), item)


def text_of(answer):
    return "".join(answer.text)


def test_a_plain_answer_quotes_the_last_question():
    assert text_of(ask("first", "Where is Bern?")) == "Demo answer to: Where is Bern?"


def test_a_long_question_is_quoted_up_to_200_characters():
    assert text_of(ask("x" * 500)) == "Demo answer to: " + "x" * 200


def test_the_same_question_gets_the_same_answer():
    assert ask("hello") == ask("hello")


@pytest.mark.parametrize("question", ["what did I say?", "What Did I Say? "])
def test_the_question_for_the_history_quotes_the_earlier_questions(question):
    answer = ask("one", "reply", "two", question, roles=["user", "assistant", "user", "user"])
    assert text_of(answer) == 'Demo answer: you said "one", "two".'


def test_the_question_for_the_history_without_one_is_answered_too():
    assert text_of(ask("what did I say?")) == "Demo answer: you said nothing before."


def test_a_number_of_tokens_is_kept_to_the_token():
    answer = ask("hi", model="demo-tokens:150")
    assert (len(answer.text), answer.tokens, answer.reason) == (150, 150, "stop")


@pytest.mark.parametrize("model", ["demo", "demo-tokens:150"])
def test_the_limit_cuts_the_answer_and_says_so(model):
    answer = ask("tell me a very long story about a king", model=model, limit=7)
    assert (answer.tokens, answer.reason) == (7, "length")


def test_an_answer_as_long_as_the_limit_is_whole():
    assert ask("hi", model="demo-tokens:7", limit=7).reason == "stop"


@pytest.mark.parametrize(
    ("model", "stops", "text"),
    [
        ("demo", ("to:",), "Demo answer "),
        ("demo", ("cheese", "hi", "to:"), "Demo answer "),
        ("demo-tokens:9", (" stone",), " amber river"),
    ],
)
def test_the_first_stop_word_ends_the_answer(model, stops, text):
    answer = ask("hi", model=model, stops=stops)
    assert (text_of(answer), answer.reason, answer.stop_word in stops) == (text, "stop", True)


def test_an_empty_stop_word_stops_nothing():
    assert text_of(ask("hi", stops=("",))) == "Demo answer to: hi"


def test_an_empty_answer_says_nothing_and_ends_well():
    assert ask("hi", model="demo-empty+tokens:5") == Answer()


def test_a_tool_is_called_with_its_arguments():
    answer = ask("hi", model='demo-tool:add:{"a":1}')
    assert answer == Answer(calls=(ToolCall("add", '{"a":1}'),), reason="tool_calls")
    assert "".join(answer.pieces) == 'add{"a":1}'


def test_a_tool_is_not_called_where_tools_are_forbidden():
    assert text_of(ask("hi", model="demo-tool:add:{}", tools_allowed=False)) == "Demo answer to: hi"


def test_a_tool_s_result_is_quoted():
    answer = ask("hi", "", "42", model="demo-tool:add:{}", roles=["user", "assistant", "tool"])
    assert text_of(answer) == "Demo answer from the tool's result: 42"


def test_the_script_says_it_word_by_word():
    item = ScriptItem.model_validate(
        {"text": "Let me see.", "tool_calls": [{"name": "add", "arguments": {"a": 1}}], "usage": {"prompt_tokens": 9}}
    )
    answer = ask("hi", model="demo-tokens:500", item=item)
    assert (text_of(answer), answer.calls, answer.reason) == (
        "Let me see.",
        (ToolCall("add", '{"a":1}'),),
        "tool_calls",
    )
    assert answer.usage(Question("demo", (Turn("user", "hi"),))) == (9, answer.tokens)


def test_the_script_keeps_to_the_limit_too():
    item = ScriptItem(text="one two three four")
    assert (text_of(ask("hi", item=item, limit=2)), ask("hi", item=item, limit=2).reason) == ("one two", "length")


def test_a_script_without_words_leaves_them_to_its_faults():
    item = ScriptItem(faults="demo-tokens:3")
    assert compose(Question("demo", (Turn("user", "hi"),)), item.parsed_faults(), item).tokens == 3


def test_a_conversation_without_a_user_gets_an_answer():
    assert text_of(compose(Question("demo", (Turn("system", "be kind"),)), Faults())) == "Demo answer to: "
