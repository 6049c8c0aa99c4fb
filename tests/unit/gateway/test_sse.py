"""Frames on the wire."""

import re
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


def test_what_arrived_together_is_sent_together_and_an_empty_batch_is_a_ping():
    chunks = list(sse(BATCHES, FRAMES))
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
    assert list(sse([[(4, Closed())]], FRAMES)) == []


@given(st.text())
def test_no_text_breaks_its_frame(text: str):
    (chunk,) = sse([[(1, Text(text))]], FRAMES)
    assert chunk.startswith(b"data: {")
    assert chunk.endswith(b"}\n\n")
    assert b"\n" not in chunk[:-2]
    assert b"\r" not in chunk
