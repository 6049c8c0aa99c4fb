"""Clients as they should be: who loses its stream comes back to the other gateway, who is refused asks again."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from storm.plan import Act, ChatPlan
from talk import CHATS, ENDS, Frame, read_frames

PATIENCE = 150.0
"""Seconds in which a chat must have its end, whatever is killed."""
TIMEOUT = httpx.Timeout(15, connect=3)
"""Pings come far more often: who hears nothing for so long may leave and come back."""
LONG_ABSENCE = 10.0


@dataclass
class Heard:
    """What a client was told of a chat. `text`: the answer as it has it; `end`: the frame, or the blocking answer."""

    plan: ChatPlan
    frames: list[Frame] = field(default_factory=list)
    end: dict[str, Any] | None = None
    status: int | None = None
    conversation: str | None = None
    stop_asked: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.frames[-1].id or 0 if self.frames else 0

    @property
    def task(self) -> str | None:
        return self.frames[0].data["task_id"] if self.frames and self.frames[0].data else None

    @property
    def replaced(self) -> bool:
        return any(frame.data["event"] == "message_replace" for frame in self.frames if frame.data)

    @property
    def text(self) -> str:
        if self.plan.blocking:
            return (self.end or {}).get("answer", "")
        text = ""
        for frame in self.frames:
            if frame.data and frame.data["event"] == "message":
                text += frame.data["answer"]
            elif frame.data and frame.data["event"] == "message_replace":
                text = frame.data["answer"]
        return text


class _LeftError(Exception):
    """The client went away; it comes back after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Client:
    """Has its chats one after the other.

    Args:
        gateways: base URLs.
        keys: of the apps, by shape.
        over: tells whether nobody is waited for any more.
    """

    def __init__(self, gateways: list[str], keys: list[str], over: Callable[[], bool]) -> None:
        self._http = [httpx.Client(base_url=url, timeout=TIMEOUT) for url in gateways]
        self._keys = keys
        self._over = over
        self._turn = 0
        self._headers: dict[str, str] = {}
        self._conversations: dict[int, str] = {}

    def close(self) -> None:
        for http in self._http:
            http.close()

    def have(self, plan: ChatPlan) -> Heard:
        """One chat, until it has its end."""
        time.sleep(plan.pause)
        heard = Heard(plan)
        self._turn = plan.gateway
        self._headers = {"Authorization": f"Bearer {self._keys[plan.shape]}"}
        conversation = self._conversations.get(plan.shape) if plan.continues else None
        deadline = time.monotonic() + PATIENCE
        acts = list(plan.acts)
        while heard.end is None and not heard.wrong and time.monotonic() < deadline and not self._over():
            try:
                self._talk(heard, conversation, acts)
            except _LeftError as left:
                time.sleep(left.seconds)
            except httpx.TransportError:
                time.sleep(0.2)
            self._turn += 1
        if heard.conversation is not None:
            self._conversations[plan.shape] = heard.conversation
        return heard

    def _talk(self, heard: Heard, conversation: str | None, acts: list[Act]) -> None:
        """One request: the question, again as often as nobody knows what became of it, or the rest of its answer."""
        plan, http = heard.plan, self._http[self._turn % 2]
        if heard.task is not None:
            query = {"user": plan.user, "after": heard.last}
            with http.stream("GET", f"{CHATS}/{heard.task}/events", params=query, headers=self._headers) as response:
                self._hear(heard, response, acts)
            return
        body = {"query": plan.query, "user": plan.user, "conversation_id": conversation}
        body["response_mode"] = "blocking" if plan.blocking else "streaming"
        key = {"Idempotency-Key": plan.query.partition(":")[0], "X-Event-Ids": "1"}
        with http.stream("POST", CHATS, json=body, headers={**self._headers, **key}) as response:
            if plan.blocking:
                self._wait(heard, response)
            else:
                self._hear(heard, response, acts)

    def _wait(self, heard: Heard, response: httpx.Response) -> None:
        """A blocking answer. A 503 may be the end of the run, or only say that it could not be begun yet."""
        response.read()
        heard.status = response.status_code
        if response.status_code == 503:
            time.sleep(min(float(response.headers["Retry-After"]), 2))
            return
        heard.end = response.json()
        heard.conversation = heard.end.get("conversation_id")

    def _hear(self, heard: Heard, response: httpx.Response, acts: list[Act]) -> None:
        """A stream, as far as it goes."""
        if response.status_code != 200:
            response.read()
            if response.status_code != 503:
                heard.wrong.append(f"answered {response.status_code} {response.text}")
            time.sleep(min(float(response.headers.get("Retry-After", 0)), 2))
            return
        if not heard.frames:
            self._act(heard, acts)
        for frame in read_frames(response):
            if frame.data is None:
                continue
            heard.frames.append(frame)
            heard.conversation = frame.data["conversation_id"]
            if frame.data["event"] in ENDS:
                heard.end = frame.data
            else:
                self._act(heard, acts)

    def _act(self, heard: Heard, acts: list[Act]) -> None:
        while acts and acts[0].after <= len(heard.frames):
            if acts[0].deed == "stop" and heard.task is None:
                return  # nobody knows yet what to stop
            match acts.pop(0).deed:
                case "leave":
                    raise _LeftError(0)
                case "leave for long":
                    raise _LeftError(LONG_ABSENCE)
                case "stop":
                    self._stop(heard)

    def _stop(self, heard: Heard) -> None:
        """Ask the other gateway, and once more where that did not work: then the client lets it be."""
        heard.stop_asked = True
        for turn in (self._turn + 1, self._turn):
            url, body = f"{CHATS}/{heard.task}/stop", {"user": heard.plan.user}
            with suppress(httpx.TransportError):
                response = self._http[turn % 2].post(url, json=body, headers=self._headers)
                if response.status_code == 200:
                    return
                if response.status_code != 503:
                    heard.wrong.append(f"stop was answered {response.status_code} {response.text}")
