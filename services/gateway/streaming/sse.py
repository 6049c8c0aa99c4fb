"""Server-sent events: frames as bytes on a response.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import Iterable, Iterator

from services.gateway.streaming.frames import Frames
from services.gateway.streaming.runstream import Numbered

PING = b"event: ping\n\n"

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""What keeps proxies from holding frames back."""


def sse(batches: Iterable[list[Numbered]], frames: Frames, *, after: int = 0, ids: bool = False) -> Iterator[bytes]:
    """The run's events as SSE; what arrived together is sent together.

    Args:
        batches: events, and empty lists where a ping is due.
        frames: writes them.
        after: events up to this `seq` are left out: the reader has them.
        ids: whether frames carry `id:`, for a reader that wants to come back.
    """
    yield b""  # so that the client has the headers before the run says anything
    for batch in batches:
        if not batch:
            yield PING
            continue
        written = [
            b"id: %d\ndata: %b\n\n" % (seq, frame) if ids else b"data: %b\n\n" % frame
            for seq, event in batch
            if seq > after and (frame := frames.write(event)) is not None
        ]
        if written:
            yield b"".join(written)
