"""Chats as clients have them: requests, streams of frames, and what the demo upstream was asked."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from stack import Stack

CHATS = "/v1/chat-messages"
_FRAME = re.compile(r"(?:id: (\d+)\n)?data: (\{.*\})")
PING = "event: ping"
ENDS = {"message_end", "error"}


class Frame(NamedTuple):
    """A frame of a stream: its JSON, None for a ping; and its `id:`, where it has one."""

    data: dict[str, Any] | None
    id: int | None = None


def parse_frame(block: str) -> Frame:
    if block == PING:
        return Frame(None)
    match = _FRAME.fullmatch(block)
    assert match, f"no frame: {block!r}"
    return Frame(json.loads(match[2]), int(match[1]) if match[1] else None)


def parse_sse(text: str) -> list[Frame]:
    """All frames of a stream that was read to its end."""
    assert text.endswith("\n\n"), text
    return [parse_frame(block) for block in text[:-2].split("\n\n")]


def said(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """The frames that are no pings."""
    return [frame.data for frame in frames if frame.data is not None]


def text_of(frames: Iterable[dict[str, Any]]) -> str:
    return "".join(frame["answer"] for frame in frames if frame["event"] == "message")


def end_of(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """The end of a stream: exactly one, and the last frame."""
    assert [frame["event"] for frame in frames if frame["event"] in ENDS] == [frames[-1]["event"]]
    return frames[-1]


def post(
    client: httpx.Client, user: str, query: str = "Hello?", *, headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    """`POST /v1/chat-messages`, whatever comes of it."""
    return client.post(CHATS, json={"query": query, "user": user, **fields}, headers=headers)


def ask(
    client: httpx.Client, user: str, query: str = "Hello?", *, headers: dict[str, str] | None = None, **fields: object
) -> dict[str, Any]:
    """A blocking chat that is answered."""
    response = post(client, user, query, headers=headers, **fields)
    assert response.status_code == 200, response.text
    return response.json()


def stream(
    client: httpx.Client, user: str, query: str = "Hello?", *, headers: dict[str, str] | None = None, **fields: object
) -> list[dict[str, Any]]:
    """A streaming chat's frames, to the end."""
    response = post(client, user, query, headers=headers, response_mode="streaming", **fields)
    assert response.status_code == 200, response.text
    return said(parse_sse(response.text))


@contextmanager
def listening(client: httpx.Client, method: str, url: str, **options: Any) -> Iterator[Iterator[Frame]]:
    """A stream that is read while it comes; leaving closes the connection."""
    with client.stream(method, url, **options) as response:
        assert response.status_code == 200, response.read()
        yield read_frames(response)


@contextmanager
def chatting(
    client: httpx.Client, user: str, query: str = "Hello?", *, headers: dict[str, str] | None = None, **fields: object
) -> Iterator[Iterator[Frame]]:
    """A streaming chat that is read while it comes."""
    body = {"query": query, "user": user, "response_mode": "streaming", **fields}
    with listening(client, "POST", CHATS, json=body, headers=headers) as frames:
        yield frames


def read_frames(response: httpx.Response) -> Iterator[Frame]:
    """A stream's frames while it is read."""
    text = ""
    for piece in response.iter_text():
        text += piece
        *blocks, text = text.split("\n\n")
        yield from map(parse_frame, blocks)
    assert text == ""


def first_said(frames: Iterator[Frame]) -> dict[str, Any]:
    """The next frame that is no ping."""
    return next(frame.data for frame in frames if frame.data is not None)


def events(client: httpx.Client, user: str, task: str, *, last: int | None = None, **query: object) -> list[Frame]:
    """A run's events again."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    response = client.get(f"{CHATS}/{task}/events", params={"user": user, **query}, headers=headers)
    assert response.status_code == 200, response.text
    return parse_sse(response.text)


def stop(client: httpx.Client, user: str, task: str) -> dict[str, Any]:
    response = client.post(f"{CHATS}/{task}/stop", json={"user": user})
    assert response.status_code == 200, response.text
    return response.json()


def communicate(client: httpx.Client, user: str, prompt: str, **query: str) -> list[dict[str, Any]]:
    """A prompt to `/communicate`, and its frames to the end."""
    response = client.post("/communicate", params={"prompt": prompt, "user_id": user, **query})
    assert response.status_code == 200, response.text
    return said(parse_sse(response.text))


def answer(client: httpx.Client, user: str, prompt: str) -> str:
    """The text that `/communicate` gives, where it ends well."""
    frames = communicate(client, user, prompt)
    assert end_of(frames)["event"] == "message_end", frames[-1].get("message")
    return text_of(frames)


def calls(stack: Stack, question: str) -> list[dict[str, Any]]:
    """What the demo upstream was asked with `question` last."""
    rows = httpx.get(f"{stack.demo_url}/_requests").json()
    return [row for row in rows if _question(row) == question]


def shown(stack: Stack, question: str) -> list[tuple[str, str]]:
    """The messages that the model was shown in the only call with this question: their roles and contents."""
    (call,) = calls(stack, question)
    return [(message["role"], message["content"]) for message in call["body"]["messages"]]


def script(stack: Stack, *answers: dict[str, Any]) -> None:
    """Queue answers of the demo upstream; each names the model that it is for."""
    assert all("model" in answer for answer in answers)
    assert httpx.post(f"{stack.demo_url}/_script", json=list(answers)).status_code == 200


def _question(row: dict[str, Any]) -> object:
    body = row["body"]
    return body["messages"][-1]["content"] if isinstance(body, dict) and body.get("messages") else None
