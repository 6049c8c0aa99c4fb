"""Server-sent events out of a stream of bytes, whichever way it was split. No I/O, and nothing of what they mean.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from typing import NamedTuple

LONGEST_LINE = 1024 * 1024
"""Bytes of a line, and of the data of an event."""

_BOM = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """A line or the data of an event is over 1 MiB."""


class ServerSentEvent(NamedTuple):
    """One event. `kind` is "" where the stream names none; `id` is the last one that was given."""

    data: bytes
    kind: str = ""
    id: str = ""


class EventParser:
    """Takes bytes as they come and gives the events that they complete; what a stream's end leaves open is dropped.

    Lines end with LF, CR or CRLF. Data stay bytes: whoever reads them decodes them. Beyond the standard an `id` holds
    from its event on, not for reconnecting, and `retry` has no effect.
    """

    def __init__(self) -> None:
        self._open_line = bytearray()
        self._after_cr = False
        self._at_start = True
        self._data: list[bytes] = []
        self._data_length = 0
        self._kind = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes.

        Raises:
            EventTooLongError: a line or an event's data grew over 1 MiB.
        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # the second half of a CRLF
            self._after_cr = False
        events: list[ServerSentEvent] = []
        for line in self._lines(chunk):
            if not line:
                self._dispatch(events)
            elif line.startswith(b"data:"):
                self._add_data(line[6:] if line.startswith(b"data: ") else line[5:])
            else:
                self._take_field(line)
        return events

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that a chunk completes; what stands behind the last end of a line is kept."""
        lines = chunk.splitlines()
        if not lines:
            return lines
        if not chunk.endswith((b"\n", b"\r")):
            rest = lines.pop()
        else:
            rest = b""
            self._after_cr = chunk.endswith(b"\r")
        if lines and self._open_line:
            lines[0] = bytes(self._open_line) + lines[0]
            self._open_line.clear()
        self._open_line += rest
        if len(self._open_line) > LONGEST_LINE:
            raise EventTooLongError
        if self._at_start and lines:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_length += len(value) + 1
        if self._data_length > LONGEST_LINE:
            raise EventTooLongError

    def _take_field(self, line: bytes) -> None:
        """A line that is not `data: ...`: another field, a comment, or a field without a value."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"data":
            self._add_data(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(ServerSentEvent(data, self._kind, self._id))
            self._data.clear()
            self._data_length = 0
        self._kind = ""
