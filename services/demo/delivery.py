"""How an answer goes over the wire: its pace, and where the faults break it. Knows no protocol's words."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from services.demo.asked import AskedCall
from services.demo.faults import LONGEST_PAUSE, Faults

BATCH = 32
"""Tokens per socket write when nobody asked for pauses; between writes others get their turn."""


@dataclass(frozen=True, slots=True)
class Frames:
    """A streamed answer in bytes: `body` makes one item per piece of the answer, `broken` is a line that is no JSON."""

    head: bytes
    body: Iterator[bytes]
    tail: bytes
    broken: bytes


async def send_stream(request: web.Request, asked: AskedCall, frames: Frames, faults: Faults) -> web.StreamResponse:
    """Stream an answer, as well as the faults allow.

    Raises:
        ConnectionError, CancelledError: the client went away.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    if faults.slow_first:
        await asyncio.sleep(faults.slow_first)
    head, body = _with_broken_line(frames, faults, len(asked.pieces))
    break_at = _break_position(faults, len(asked.pieces))
    body = itertools.islice(body, break_at)
    await response.write(head)
    if faults.slow:
        await _send_slowly(response, asked, body, faults.slow)
    else:
        await _send_in_batches(response, asked, body)
    if break_at is not None:
        await _break_off(request, asked, faults)
        return response
    await response.write_eof(frames.tail)
    asked.end("server", finished=True)
    return response


async def send_document(request: web.Request, asked: AskedCall, document: bytes, faults: Faults) -> web.StreamResponse:
    """Send an answer in one piece, after as long as the stream would have taken; a cut comes in the middle of it.

    Raises:
        ConnectionError, CancelledError: the client went away.
    """
    await asyncio.sleep(faults.slow_first + faults.slow * max(len(asked.pieces) - 1, 0))
    if faults.malformed is not None:
        document = document[: len(document) // 2]
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(document)
    break_at = _break_position(faults, len(asked.pieces))
    if break_at is not None:
        await _send_part(request, response, document, faults)
        await _break_off(request, asked, faults)
        return response
    await response.prepare(request)
    asked.given = len(asked.pieces)
    await response.write_eof(document)
    asked.end("server", finished=faults.malformed is None)
    return response


def _with_broken_line(frames: Frames, faults: Faults, length: int) -> tuple[bytes, Iterator[bytes]]:
    """The head and the body with the broken line, if one is wanted, behind the piece that it follows."""
    if faults.malformed is None:
        return frames.head, frames.body
    position = min(faults.malformed, length)
    if position == 0:
        return frames.head + frames.broken, frames.body
    numbered = enumerate(frames.body, start=1)
    return frames.head, (frame + frames.broken if number == position else frame for number, frame in numbered)


def _break_position(faults: Faults, length: int) -> int | None:
    wanted = [position for position in (faults.cut, faults.hang) if position is not None]
    return min(*wanted, length) if wanted else None


async def _send_slowly(response: web.StreamResponse, asked: AskedCall, body: Iterator[bytes], pause: float) -> None:
    """One write per token, each at its own moment counted from the first, so that late ones don't delay the rest."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for index, frame in enumerate(body):
        if index:
            await asyncio.sleep(max(begin + index * pause - loop.time(), 0))
        await response.write(frame)
        asked.given += 1


async def _send_in_batches(response: web.StreamResponse, asked: AskedCall, body: Iterator[bytes]) -> None:
    while batch := list(itertools.islice(body, BATCH)):
        await response.write(b"".join(batch))
        asked.given += len(batch)
        await asyncio.sleep(0)


async def _send_part(request: web.Request, response: web.StreamResponse, document: bytes, faults: Faults) -> None:
    """Before a cut the headers and half of the document; before a hang nothing."""
    if _cuts_first(faults):
        await response.prepare(request)
        await response.write(document[: len(document) // 2])


async def _break_off(request: web.Request, asked: AskedCall, faults: Faults) -> None:
    """Close the connection without an end, or wait for the client to do it."""
    if not _cuts_first(faults):
        await asyncio.sleep(LONGEST_PAUSE)
    asked.end("server")
    if request.transport is not None:
        request.transport.close()


def _cuts_first(faults: Faults) -> bool:
    if faults.cut is None or faults.hang is None:
        return faults.cut is not None
    return faults.cut <= faults.hang
