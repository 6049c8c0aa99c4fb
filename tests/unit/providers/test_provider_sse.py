"""The parser of server-sent events, against the examples of the standard and any split of the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.worker.providers.sse import LONGEST_LINE, EventParser, EventTooLongError, ServerSentEvent


def parse(*chunks):
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def data_of(*chunks):
    return [event.data for event in parse(*chunks)]


def test_an_event_has_data_a_kind_and_an_id():
    assert parse(b'event: delta\nid: 7\ndata: {"a": 1}\n\n') == [ServerSentEvent(b'{"a": 1}', "delta", "7")]


def test_the_kind_holds_for_one_event_and_the_id_until_the_next():
    assert parse(b"event: a\nid: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n") == [
        ServerSentEvent(b"x", "a", "1"),
        ServerSentEvent(b"y", "", "1"),
        ServerSentEvent(b"z", "", ""),
    ]


def test_an_id_with_a_nul_is_passed_over():
    assert parse(b"id: 1\nid: 2\x003\ndata: x\n\n") == [ServerSentEvent(b"x", "", "1")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_each_of_the_three_ends(end):
    assert data_of(b"data: a" + end + b"data: b" + end + end + b"data: c" + end + end) == [b"a\nb", b"c"]


def test_a_crlf_that_was_split_is_one_end():
    assert data_of(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [b"a\nb"]


def test_only_one_space_after_the_colon_is_taken_away():
    assert data_of(b"data:a\n\ndata: b\n\ndata:  c\n\n") == [b"a", b"b", b" c"]


def test_comments_unknown_fields_and_blank_lines_say_nothing():
    assert data_of(b": OPENROUTER PROCESSING\n\n\n\nretry: 5\nfoo: bar\n\nevent: ping\n\ndata: a\n\n") == [b"a"]


def test_data_without_a_value_is_an_event_with_empty_data():
    assert data_of(b"data\n\ndata:\n\ndata\ndata\n\n") == [b"", b"", b"\n"]


def test_the_streams_example_of_the_standard():
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"
    assert parse(stream) == [ServerSentEvent(b"first event", "", "1"), ServerSentEvent(b"second event", "", "")]


def test_a_byte_order_mark_is_dropped_at_the_start_only():
    assert data_of(b"\xef", b"\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [b"a"]


def test_characters_that_python_takes_for_line_ends_are_not():
    odd = "a\x0bb\x0cc\x1cd\x85e\u2028f".encode()
    assert data_of(b"data: " + odd + b"\n\n") == [odd]


def test_an_event_that_the_stream_leaves_open_is_dropped():
    assert data_of(b"data: a\n\ndata: b\n") == [b"a"]


@pytest.mark.parametrize("piece", [b"x" * 1024, b"data: " + b"x" * 1024 + b"\n"])
def test_neither_a_line_nor_an_event_is_kept_without_end(piece):
    with pytest.raises(EventTooLongError):
        parse(*[piece] * (LONGEST_LINE // 1024 + 1))


def test_an_event_of_a_megabyte_less_a_line_comes_through():
    data = b"x" * (LONGEST_LINE - 10)
    assert data_of(b"data: ", data, b"\n\n") == [data]


PIECES = st.sampled_from(
    [b"data: ", b"data", b"event: ", b"id: ", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"x", b"\0"]
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(stream, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*chunks) == parse(stream) == parse(*(stream[at : at + 1] for at in range(len(stream))))


EVENTS = st.lists(
    st.builds(
        ServerSentEvent,
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20).map(str.encode),
        st.sampled_from(["", "delta", "error"]),
        st.sampled_from(["1", "2"]),
    ),
    max_size=8,
)


@given(EVENTS, st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_what_is_written_is_read(events, end):
    stream = b"".join(
        b"".join(
            line + end
            for line in (b"event: " + event.kind.encode(), b"id: " + event.id.encode(), b"data: " + event.data, b"")
        )
        for event in events
    )
    assert parse(stream) == events
