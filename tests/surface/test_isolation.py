"""What is another user's or another app's is as if it never was."""

import httpx
import pytest
import uuid_utils.compat as uuids

from books import apps_of, saved_of
from neighbours import MakeApp, app_of
from stack import Stack
from talk import CHATS, ask, events, post, shown

NEVER = str(uuids.uuid7())


@pytest.mark.requirement("v1.isolation.conversation", "v1.fault.conversation")
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_conversation_of_another_user_or_app_is_not_found(stack: Stack, user: str, make_app: MakeApp, mode: str):
    client, other = make_app(), make_app()
    conversation = ask(client, user)["conversation_id"]
    attempts = [(client, f"{user}-2", conversation), (other, user, conversation), (client, user, NEVER)]
    answers = [post(who, name, conversation_id=asked, response_mode=mode) for who, name, asked in attempts]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert [answer.json() for answer in answers] == [
        {"code": "not_found", "message": "Conversation not found.", "status": 404}
    ] * 3
    assert [message.query for message in saved_of(stack.database, user)] == ["Hello?"]


@pytest.mark.requirement("v1.isolation.task", "v1.events.unknown")
def test_a_task_of_another_user_or_app_is_not_found(user: str, make_app: MakeApp):
    client, other = make_app(), make_app()
    task = ask(client, user)["task_id"]
    attempts = [(client, f"{user}-2", task), (other, user, task), (client, user, NEVER)]
    answers = [who.get(f"{CHATS}/{asked}/events", params={"user": name}) for who, name, asked in attempts]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert events(client, user, task)


@pytest.mark.requirement("v1.user.unique", "v1.auth.bearer")
def test_the_same_user_of_two_apps_is_two_users(stack: Stack, user: str, make_app: MakeApp):
    clients = [make_app(), make_app()]
    for client in clients:
        ask(client, user, f"{app_of(client)}?")
    assert apps_of(stack.database, user) == [app_of(client) for client in clients]
    assert shown(stack, f"{app_of(clients[1])}?") == [("user", f"{app_of(clients[1])}?")]


@pytest.mark.requirement("v1.isolation.conversation")
def test_a_conversation_that_is_refused_leaves_no_message(stack: Stack, client: httpx.Client, user: str):
    post(client, user, conversation_id=NEVER)
    assert saved_of(stack.database, user) == []
