"""A followed run as a response that streams."""

from flask import Response

from services.gateway.streaming.frames import Frames
from services.gateway.streaming.sse import CONTENT_TYPE, HEADERS, sse
from services.gateway.usecases.runs import RunStream


def stream_response(stream: RunStream, *, ids: bool = False, content_type: str = CONTENT_TYPE) -> Response:
    """Relay a run as SSE until its end, or until the client leaves; the run goes on either way.

    Args:
        stream: is closed with the response.
        ids: whether frames carry `id:`.
        content_type: as the surface writes it.
    """
    frames = Frames(stream.ids)
    response = Response(
        sse(stream.batches, frames, after=stream.after, ids=ids), headers=HEADERS, content_type=content_type
    )
    response.call_on_close(stream.close)
    return response
