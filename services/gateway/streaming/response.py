"""A followed run as a response that streams."""

from flask import Response, request

from services.gateway.streaming.frames import Frames
from services.gateway.streaming.runstream import RunStream
from services.gateway.streaming.sse import HEADERS, sse


def stream_response(stream: RunStream, *, content_type: str, write_seconds: float, ids: bool = False) -> Response:
    """Relay a run as SSE until its end, or until the client leaves; the run goes on either way.

    Args:
        stream: is closed with the response.
        content_type: as the surface writes it.
        write_seconds: a client that takes nothing for so long is cut off.
        ids: whether frames carry `id:`.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(write_seconds)
    response = Response(
        sse(stream.batches, Frames(stream.ids), after=stream.after, ids=ids),
        headers={**HEADERS, "Content-Type": content_type},
    )
    response.call_on_close(stream.close)
    return response
