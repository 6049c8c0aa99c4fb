"""A WebSocket whose gateway is killed: nothing is lost and nothing comes twice."""

import pytest
import uuid_utils.compat as uuids

from books import saved
from mortal import running_mortal
from shared.store.apps import create_app
from shared.store.keys import create_key
from socketing import entered, frames
from stack import Stack
from talk import end_of, text_of

TOKENS = 100
LONG = f"demo-slow:50+demo-tokens:{TOKENS}"


def key_of_app(stack: Stack, model: str) -> str:
    name = f"app-{uuids.uuid7()}"
    with stack.database.write() as session:
        create_app(session, name, "chat", {"model": model})
        return create_key(session, kind="app", app=name)


@pytest.mark.requirement("ws.resume", "ws.close")
def test_runs_of_a_killed_gateway_are_heard_to_their_ends_at_another():
    with running_mortal() as mortal:
        stack = mortal.stack
        key = key_of_app(stack, LONG)
        doomed = stack.start_gateway("doomed")
        heard: dict[str, list[dict]] = {"one": [], "two": []}
        with entered(doomed, key, "ann") as socket:
            for name in heard:
                socket.send(type="chat", id=name, query=name)
            while min(map(len, heard.values())) < 3:
                event = socket.receive()
                heard[event["id"]].append(event)
            stack.parts["doomed"].kill()
            code, rest = socket.goodbye()
            assert code is None, "a killed gateway says nothing"
            for event in rest:
                heard[event["id"]].append(event)
        with entered(stack.base_url, key, "ann") as socket:
            for name, events in heard.items():
                task = events[0]["data"]["task_id"]
                socket.send(type="resume", id=name, task_id=task, after=events[-1]["seq"])
            for name, events in heard.items():
                events.extend(socket.events(name))
        for name, events in heard.items():
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            told = frames(events)
            end = end_of(told)
            assert end["event"] == "message_end"
            kept = saved(stack.database, end["message_id"])
            assert (kept.query, kept.state, kept.answer) == (name, "succeeded", text_of(told))
            assert len(kept.answer.split()) == TOKENS
