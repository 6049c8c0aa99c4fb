"""Five hundred sockets at once, each with a chat."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from socketing import frames, socket_url
from stack import Stack
from talk import end_of, text_of

CROWD = 500
SECONDS = 120


async def chat(url: str, key: str, user: str, everybody: asyncio.Barrier) -> list[dict[str, Any]]:
    """A chat's events, asked when everybody is there and none leaving before everybody has its answer."""
    async with connect(url, proxy=None, open_timeout=SECONDS, ping_interval=None) as socket:
        await socket.send(json.dumps({"type": "auth", "key": key, "user": user}))
        assert json.loads(await socket.recv()) == {"type": "ready", "app": "default"}
        await everybody.wait()
        await socket.send(json.dumps({"type": "chat", "id": user, "query": user}))
        events = []
        async for text in socket:
            events.append(json.loads(text))
            if events[-1]["type"] != "event" or events[-1]["data"]["event"] in {"message_end", "error"}:
                break
        await everybody.wait()
        return events


async def chats(url: str, key: str, users: list[str]) -> list[list[dict[str, Any]]]:
    everybody = asyncio.Barrier(len(users))
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        chatting = [tasks.create_task(chat(url, key, user, everybody)) for user in users]
    return [task.result() for task in chatting]


@pytest.mark.requirement("ws.many", "ws.chat")
def test_five_hundred_sockets_at_once_have_a_whole_answer_each(stack: Stack, user: str):
    users = [f"{user}-{number}" for number in range(CROWD)]
    for own, told in zip(users, asyncio.run(chats(socket_url(stack.base_url), stack.app_key, users)), strict=True):
        assert {(event["type"], event["id"]) for event in told} == {("event", own)}, told
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
        assert end_of(frames(told))["event"] == "message_end"
        assert text_of(frames(told)) == f"Demo answer to: {own}"
