"""A minimal reader of HTTP/1.1 responses: enough for the systems measured here, and cheap."""

import re

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class BrokenResponseError(Exception):
    """Bytes that are no response, or one that ended early."""


class Response:
    """One response, fed as it comes.

    `body` is what came of its body, without the chunks' frames; `whole` tells whether it is complete; `keeps` whether
    the connection may be used again.
    """

    __slots__ = ("_left", "_pending", "_until_close", "body", "keeps", "status", "whole")

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()
        self.whole = False
        self.keeps = True
        self._pending = b""
        self._left: int | None = None
        self._until_close = False

    def feed(self, data: bytes) -> None:
        """Take what came.

        Raises:
            BrokenResponseError: it makes no sense.
        """
        self._pending = data = self._pending + data if self._pending else data
        if not self.status and not self._read_head(data):
            return
        data, self._pending = self._pending, b""
        if self._until_close:
            self.body += data
        elif self._left is not None:
            self.body += data
            self.whole = len(self.body) >= self._left
        else:
            self._read_chunks(data)

    def close(self) -> None:
        """The connection ended.

        Raises:
            BrokenResponseError: the response had not.
        """
        if not self._until_close:
            raise BrokenResponseError(f"closed after {len(self.body)} bytes of the body")
        self.whole = True

    def _read_head(self, data: bytes) -> bool:
        head, found, rest = data.partition(_END_OF_HEAD)
        if not found:
            return False
        try:
            self.status = int(head.split(None, 2)[1])
        except (IndexError, ValueError) as error:
            raise BrokenResponseError(f"no status: {head[:80]!r}") from error
        self.keeps = not _CLOSES.search(head)
        length = _LENGTH.search(head)
        if length:
            self._left = int(length[1])
        elif not _CHUNKED.search(head):
            self._until_close, self.keeps = True, False
        self._pending = rest
        return True

    def _read_chunks(self, data: bytes) -> None:
        at = 0
        while (line_end := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line_end].partition(b";")[0], 16)
            begin = line_end + 2
            end = begin + size
            if len(data) < end + 2:
                break
            if size == 0:
                self.whole = True
                return
            self.body += data[begin:end]
            at = end + 2
        self._pending = data[at:]
