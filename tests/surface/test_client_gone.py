"""The client going away ends no run."""

import httpx
import pytest

from books import balance, has_ended, saved, task_of
from neighbours import MakeApp
from stack import Stack, wait_for
from talk import CHATS, chatting, end_of, events, first_said, said, text_of

SLOW = "demo-slow:20+tokens:40"


def whole(stack: Stack, client: httpx.Client, user: str, message: str, task: str) -> None:
    """The run ends as if nothing had happened."""
    wait_for(lambda: has_ended(stack.database, message), "the run has ended")
    kept = saved(stack.database, message)
    assert (kept.state, len(kept.answer.split())) == ("succeeded", 40)
    granted, left, total = balance(stack.database, user)
    assert left == total == granted - kept.tokens
    frames = said(events(client, user, task))
    assert text_of(frames) == kept.answer
    assert end_of(frames)["metadata"]["usage"]["total_tokens"] == kept.tokens


@pytest.mark.requirement("v1.chat.client-gone")
def test_a_run_whose_client_vanished_is_completed_saved_and_paid(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with chatting(client, user) as frames_of:
        first = first_said(frames_of)
    whole(stack, client, user, first["message_id"], first["task_id"])


@pytest.mark.requirement("v1.chat.client-gone")
def test_a_blocking_run_whose_client_vanished_is_completed_saved_and_paid(stack: Stack, user: str, make_app: MakeApp):
    client = make_app(model=SLOW)
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHATS, json={"query": user, "user": user}, timeout=0.4)
    task = str(task_of(stack.database, user))
    whole(stack, client, user, end_of(said(events(client, user, task)))["message_id"], task)
