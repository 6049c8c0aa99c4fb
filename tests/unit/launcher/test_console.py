"""What `helicon up` shows."""

import io
import os

from services.launcher.console import Console


def test_every_line_has_its_part_in_front() -> None:
    shown = io.BytesIO()
    console = Console(shown, coloured=False)
    console.follow("gateway", io.BytesIO(b"one\ntwo\r\nno end"))
    console.drain(5)
    console.note("said")
    console.say("as it is")
    assert shown.getvalue().decode().splitlines() == [
        "gateway  | one",
        "gateway  | two",
        "gateway  | no end",
        "helicon  | said",
        "as it is",
    ]


def test_names_are_coloured_on_a_terminal() -> None:
    shown = io.BytesIO()
    console = Console(shown, coloured=True)
    console.follow("worker-2", io.BytesIO(b"one\n"))
    console.drain(5)
    assert shown.getvalue() == b"\x1b[36mworker-2 | \x1b[0mone\n"


def test_bytes_that_are_no_text_pass_as_they_are() -> None:
    shown = io.BytesIO()
    console = Console(shown, coloured=False)
    console.follow("worker", io.BytesIO(b"\xff\xfe\n"))
    console.drain(5)
    assert shown.getvalue() == b"worker   | \xff\xfe\n"


def test_parts_can_go_on_writing_when_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    console = Console(os.fdopen(writing, "wb", buffering=0), coloured=False)
    output = io.BytesIO(b"line\n" * 1000)
    console.follow("gateway", output)
    console.drain(5)
    assert output.closed
    console._stream.close()
