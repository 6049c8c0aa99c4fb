"""A conversation goes on with its earlier turns, as many as the model can be shown."""

import httpx
import pytest

from books import make_older
from neighbours import MakeApp, at
from stack import Stack
from talk import ask, communicate, end_of, shown, stream, text_of

REMEMBER = "What did I say?"


@pytest.mark.requirement("v1.chat.conversation")
def test_a_conversation_goes_on_and_the_model_is_shown_its_earlier_turns(stack: Stack, client: httpx.Client, user: str):
    first = ask(client, user, "I am Ann.")
    second = ask(client, user, "I like tea.", conversation_id=first["conversation_id"])
    third = ask(client, user, f"And {user}?", conversation_id=first["conversation_id"])
    assert {first["conversation_id"]} == {second["conversation_id"], third["conversation_id"]}
    assert shown(stack, f"And {user}?") == [
        ("user", "I am Ann."),
        ("assistant", "Demo answer to: I am Ann."),
        ("user", "I like tea."),
        ("assistant", "Demo answer to: I like tea."),
        ("user", f"And {user}?"),
    ]


@pytest.mark.requirement("v1.chat.conversation")
def test_the_model_answers_from_the_earlier_turns_in_a_stream_too(client: httpx.Client, user: str):
    first = stream(client, user, "I am Ann.")
    again = stream(client, user, REMEMBER, conversation_id=end_of(first)["conversation_id"])
    assert text_of(again) == 'Demo answer: you said "I am Ann.".'


def test_a_turn_that_failed_with_a_partial_answer_is_part_of_the_conversation(user: str, make_app: MakeApp):
    client = make_app(model="demo-cut:3+tokens:9")
    broken = stream(client, user, "I am Ann.")
    assert end_of(broken)["event"] == "error"
    again = stream(client, user, REMEMBER, conversation_id=broken[0]["conversation_id"])
    assert again[0]["conversation_id"] == broken[0]["conversation_id"]


@pytest.mark.requirement("v1.chat.context")
def test_the_oldest_turns_are_dropped_when_the_context_is_full(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(token_per_user=0)
    questions = [f"{number} {user}" + " amber" * 5000 for number in range(8)]
    conversation = ask(client, user, questions[0])["conversation_id"]
    for question in questions[1:]:
        ask(client, user, question, conversation_id=conversation)
    contents = [content for role, content in shown(stack, questions[-1]) if role == "user"]
    # 32,768 tokens less 2,048 for the answer hold six of these questions, with their answers five.
    assert contents == questions[-len(contents) :]
    assert len(contents) == 6


@pytest.mark.requirement("muse.wins.context", "muse.field.max_qa_pair")
def test_the_model_is_shown_as_many_turns_as_the_settings_say(stack: Stack, user: str, tuned: str, make_app: MakeApp):
    client = make_app(tuned, model="demo", token_per_user=0)
    questions = [f"{number} {user}" for number in range(3)]
    conversation = ask(client, user, questions[0])["conversation_id"]
    for question in questions[1:]:
        ask(client, user, question, conversation_id=conversation)
        communicate(client, "ann", f"Muse {question}")
    assert [content for role, content in shown(stack, questions[2]) if role == "user"] == questions[1:]
    communicate(client, "ann", f"Muse again {user}")
    said = [content for role, content in shown(stack, f"Muse again {user}") if role == "user"]
    assert said == [f"Muse {questions[2]}", f"Muse again {user}"]


@pytest.mark.requirement("muse.wins.context", "muse.field.context_expire_time")
def test_old_turns_are_shown_on_v1_and_not_on_the_muse_surface(stack: Stack, user: str, make_app: MakeApp):
    client = make_app()
    communicate(client, user, f"Muse {user}")
    conversation = ask(client, user, f"V1 {user}")["conversation_id"]
    for query in ("Muse", "V1"):
        make_older(stack.database, "messages", "query", f"{query} {user}", hours=25)
    communicate(client, user, f"Muse again {user}")
    ask(client, user, f"V1 again {user}", conversation_id=conversation)
    assert [content for _, content in shown(stack, f"Muse again {user}")] == [f"Muse again {user}"]
    assert [content for role, content in shown(stack, f"V1 again {user}") if role == "user"] == [
        f"V1 {user}",
        f"V1 again {user}",
    ]


def test_a_conversation_is_the_same_at_every_gateway(user: str, tuned: str, make_app: MakeApp):
    client = make_app(model="demo")
    conversation = ask(client, user, "I am Ann.")["conversation_id"]
    with at(client, tuned) as other:
        assert ask(other, user, conversation_id=conversation)["conversation_id"] == conversation
