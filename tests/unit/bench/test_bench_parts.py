import re

import orjson
import pytest

from bench.environments import PEERS
from bench.figures import Rows
from bench.response import BrokenResponseError, Response
from bench.targets import judge_all, ratios
from bench.wires import Answer, BrokenAnswerError, HeliconV1, OpenAI

ANSWER = Answer(tokens=3)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def frame(document: object) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def openai_body(*texts: str) -> bytes:
    chunks = [{"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts]
    return b"".join(map(frame, [*chunks, {"choices": [{"delta": {}, "finish_reason": "stop"}]}])) + b"data: [DONE]\n\n"


def helicon_body(*texts: str, paid: int = 3) -> bytes:
    end = {"event": "message_end", "metadata": {"usage": {"completion_tokens": paid}}}
    return b"".join(map(frame, [*({"event": "message", "answer": text} for text in texts), end]))


def test_a_chunked_response_is_read_however_it_is_cut():
    sent = HEAD + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"
    for size in range(1, len(sent)):
        response = Response()
        for at in range(0, len(sent), size):
            assert not response.whole
            response.feed(sent[at : at + size])
        assert (response.status, bytes(response.body), response.whole, response.keeps) == (200, b"hello!", True, True)


def test_a_response_with_a_length_and_one_until_the_end_are_read():
    sized = Response()
    sized.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    assert (sized.status, bytes(sized.body), sized.whole, sized.keeps) == (404, b"no", True, False)
    open_ended = Response()
    open_ended.feed(b"HTTP/1.1 200 OK\r\n\r\nyes")
    assert not open_ended.whole
    open_ended.close()
    assert (bytes(open_ended.body), open_ended.whole) == (b"yes", True)


def test_a_response_that_breaks_off_is_no_answer():
    response = Response()
    response.feed(HEAD + b"5\r\nhel")
    with pytest.raises(BrokenResponseError):
        response.close()


def test_a_whole_answer_is_counted_in_events():
    text = ANSWER.text
    assert OpenAI().check(openai_body(text[:4], text[4:]), ANSWER) == 3
    assert HeliconV1().check(helicon_body(text[:4], text[4:]) + b"event: ping\n\n", ANSWER) == 3


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (OpenAI(), openai_body("something else")),
        (OpenAI(), openai_body(ANSWER.text).removesuffix(b"data: [DONE]\n\n")),
        (OpenAI(), openai_body(ANSWER.text)[:-1]),
        (OpenAI(), b""),
        (HeliconV1(), helicon_body(ANSWER.text[:-1])),
        (HeliconV1(), helicon_body(ANSWER.text, paid=2)),
        (HeliconV1(), helicon_body(ANSWER.text) * 2),
        (HeliconV1(), frame({"event": "message", "answer": ANSWER.text})),
        (HeliconV1(), frame({"event": "error", "code": "completion_request_error"})),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(wire: OpenAI | HeliconV1, body: bytes):
    with pytest.raises(BrokenAnswerError):
        wire.check(body, ANSWER)


def test_targets_and_ratios_are_made_of_medians():
    rows = Rows()
    for pace, cpu in ((100, 5.0), (210, 7.0), (220, 9.0)):
        rows.add("chat", "helicon", "50 at once", {"chats_per_second": pace, "cpu_ms_per_chat": cpu}, {})
        rows.add("chat", "litellm", "50 at once", {"chats_per_second": 30, "cpu_ms_per_chat": 35.0}, {})
    judged = {row["target"]: (row["measured"], row["reached"]) for row in judge_all(rows)}
    assert judged == {
        "chat, 50 at once": (210, True),
        "chat, 50 at once, chats/s over LiteLLM's": (7, False),
        "chat, 50 at once, CPU of all processes": (7.0, False),
    }
    assert ratios(rows) == [
        {"scenario": "chat", "load": "50 at once", "peer": "litellm", "chats_per_second": 7, "cpu_ms_per_chat": 0.2}
    ]


def test_the_peers_are_pinned_without_addresses():
    pinned = (PEERS / "litellm.txt").read_text("utf-8").splitlines()[1:]
    assert pinned
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in pinned)
    lock = (PEERS / "portkey" / "package-lock.json").read_text("utf-8")
    assert "integrity" in lock
    assert "://" not in lock
