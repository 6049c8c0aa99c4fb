"""Frames on the wire."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.streaming.frames import Frames
from services.gateway.streaming.runstream import Numbered, RunIds
from services.gateway.streaming.sse import sse
from shared.contracts.events import Closed, Finished, Text, Usage

FRAMES = Frames(RunIds(UUID(int=1), UUID(int=2), UUID(int=3), datetime(2026, 1, 1, tzinfo=UTC)))
ENDED: list[Numbered] = [(3, Finished(Usage())), (4, Closed())]
BATCHES: list[list[Numbered]] = [[(1, Text("Hello"))], [], [(2, Text(" you")), *ENDED]]


def sent(batches: list[list[Numbered]]) -> list[bytes]:
    """What is sent after the headers."""
    first, *chunks = sse(batches, FRAMES)
    assert first == b""
    return chunks


def test_the_headers_are_sent_before_the_run_says_anything():
    def said() -> Iterator[list[Numbered]]:
        raise AssertionError("asked for events before the headers were sent")
        yield []

    assert next(iter(sse(said(), FRAMES))) == b""


def test_what_arrived_together_is_sent_together_and_an_empty_batch_is_a_ping():
    chunks = sent(BATCHES)
    assert [re.findall(rb'(?:event: |"event":")(\w+)', chunk) for chunk in chunks] == [
        [b"message"],
        [b"ping"],
        [b"message", b"message_end"],
    ]
    assert chunks[1] == b"event: ping\n\n"


def test_frames_carry_ids_for_a_reader_that_wants_to_come_back():
    text = b"".join(sse(BATCHES, FRAMES, ids=True))
    assert re.findall(rb"^id: (\d+)\ndata: \{.*\}\n\n", text, re.MULTILINE) == [b"1", b"2", b"3"]


def test_events_that_the_reader_has_are_left_out():
    text = b"".join(sse(BATCHES, FRAMES, after=2, ids=True))
    assert re.findall(rb"^id: (\d+)$", text, re.MULTILINE) == [b"3"]


def test_a_batch_of_which_nothing_is_to_be_sent_sends_nothing():
    assert sent([[(4, Closed())]]) == []


@given(st.text())
def test_no_text_breaks_its_frame(text: str):
    (chunk,) = sent([[(1, Text(text))]])
    assert chunk.startswith(b"data: {")
    assert chunk.endswith(b"}\n\n")
    assert b"\n" not in chunk[:-2]
    assert b"\r" not in chunk
