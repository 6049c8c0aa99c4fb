"""What the chat protocols share: a call whose answer comes as server-sent events, read one by one until it is whole."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol, cast

import httpx
import orjson

from services.worker.providers.base import ChatPart, ChatRequest, Endpoint, UsageReport
from services.worker.providers.errors import ProviderError
from services.worker.providers.failures import TRANSPORT_ERRORS, cut, empty, malformed
from services.worker.providers.http import Call, post_stream
from services.worker.providers.sse import EventParser, EventTooLongError, ServerSentEvent

MOST_TOKENS = 10**12
"""A vendor that counts more does not count."""


class Answer(Protocol):
    """What has come of an answer so far, in one wire protocol."""

    whole: bool
    """The vendor has said that the answer is complete; what may still come is usage."""
    ended: bool
    """Nothing more will come."""

    def read(self, event: ServerSentEvent, parts: list[ChatPart]) -> bool:
        """Take an event, add the text that it holds to `parts`, and tell whether the model is at work.

        Raises:
            ProviderError: the event is an error, or malformed.
        """
        ...

    def usage(self) -> UsageReport | None:
        """What the vendor counted, if it did."""
        ...


class StreamedChat:
    """A chat protocol (`services.worker.providers.base.ChatProtocol`) made of its two ends.

    Args:
        client: makes the calls.
        make_call: a request as the vendor takes it.
        make_answer: reads what comes back.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        make_call: Callable[[Endpoint, ChatRequest], Call],
        make_answer: Callable[[Endpoint], Answer],
    ) -> None:
        self._client = client
        self._make_call = make_call
        self._make_answer = make_answer

    def stream(self, endpoint: Endpoint, request: ChatRequest) -> AsyncGenerator[Sequence[ChatPart]]:
        """Ask and yield what comes.

        Raises:
            ProviderError: the call failed, broke off before the answer was whole, or the whole answer is empty.
        """
        return stream_answer(self._client, endpoint, self._make_call(endpoint, request), self._make_answer(endpoint))


async def stream_answer(
    client: httpx.AsyncClient, endpoint: Endpoint, call: Call, answer: Answer
) -> AsyncGenerator[Sequence[ChatPart]]:
    """Make a call and yield its answer, as `ChatProtocol.stream` promises.

    Raises:
        ProviderError: the call failed, broke off before the answer was whole, or the whole answer is empty.
    """
    spoke = False
    parser = EventParser()
    async with post_stream(client, endpoint, call) as body:
        try:
            async for chunk in body:
                read = _read_chunk(parser, chunk, answer, endpoint)
                if read.at_work:
                    spoke = spoke or bool(read.parts)
                    yield read.parts
                if read.failure is not None:
                    raise read.failure
                if answer.ended:
                    break
        except TRANSPORT_ERRORS:
            if not answer.whole:
                raise
        if not answer.whole:
            raise cut(endpoint)
        if not spoke:
            raise empty(endpoint)
        usage = answer.usage()
        if usage is not None:
            yield (usage,)


class _Read:
    """What one read brought. Text that came before a failure is still said."""

    __slots__ = ("at_work", "failure", "parts")

    def __init__(self) -> None:
        self.parts: list[ChatPart] = []
        self.at_work = False
        self.failure: ProviderError | None = None


def _read_chunk(parser: EventParser, chunk: bytes, answer: Answer, endpoint: Endpoint) -> _Read:
    read = _Read()
    try:
        for event in parser.feed(chunk):
            if answer.read(event, read.parts):
                read.at_work = True
            if answer.ended:
                break
    except EventTooLongError:
        read.failure = malformed(endpoint, "an event of more than 1 MiB")
    except ProviderError as failure:
        read.failure = failure
    return read


def read_object(data: bytes, endpoint: Endpoint) -> dict[str, Any]:
    """The JSON object in an event's data.

    Raises:
        ProviderError: there is none.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise malformed(endpoint, "an event that is not JSON") from error
    if not isinstance(document, dict):
        raise malformed(endpoint, "an event that is not an object")
    return cast("dict[str, Any]", document)


def read_count(counts: dict[str, Any], name: str) -> int | None:
    """A count of tokens that makes sense, or None."""
    value = counts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
