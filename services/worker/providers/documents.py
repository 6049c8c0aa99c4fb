"""Questions to vendors that are answered with one JSON document: which models there are, what is left to spend."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

import httpx
import orjson
from pydantic import ValidationError

from services.worker.providers.base import Endpoint
from services.worker.providers.errors import ProviderError
from services.worker.providers.failures import TRANSPORT_ERRORS, malformed, map_transport_error, refused
from services.worker.providers.http import OK, check_key
from shared.domain.errors import ErrorCode

LONGEST_DOCUMENT = 8 * 1024 * 1024
"""Bytes: OpenRouter's list of models is the longest that we know, about 1 MB."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Get:
    """A GET: where, and with which headers beside the client's own."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Inquiry(Generic[T]):
    """One kind of question in one wire protocol.

    `make_get` is the request; `read` takes the answer's JSON apart and raises a `ValidationError` where it is another
    than expected.
    """

    make_get: Callable[[Endpoint], Get]
    read: Callable[[object], T]


async def inquire(client: httpx.AsyncClient, endpoint: Endpoint, inquiry: Inquiry[T], seconds: float) -> T:
    """Ask a vendor, for `seconds` at most.

    Raises:
        ProviderError: it could not be reached, refused, or answered what nobody can read.
    """
    try:
        async with asyncio.timeout(seconds):
            document = await _get(client, endpoint, inquiry.make_get(endpoint))
    except TimeoutError as error:
        words = f"{endpoint.provider} did not answer within {seconds:g} s."
        raise ProviderError(ErrorCode.PROVIDER_FAILED, words) from error
    try:
        return inquiry.read(document)
    except ValidationError as error:
        raise malformed(endpoint, "its fields are not those of its documentation") from error


def bearer(endpoint: Endpoint) -> dict[str, str]:
    """The header with an endpoint's key, if it has one."""
    return {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}


async def _get(client: httpx.AsyncClient, endpoint: Endpoint, get: Get) -> object:
    check_key(endpoint)
    headers = {"Accept": "application/json", **get.headers}
    try:
        async with client.stream("GET", get.url, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LONGEST_DOCUMENT:
                    raise malformed(endpoint, f"it is longer than {LONGEST_DOCUMENT} bytes")
    except TRANSPORT_ERRORS as error:
        raise map_transport_error(error, endpoint) from error
    if response.status_code != OK:
        raise refused(endpoint, response.status_code, response.headers, bytes(body))
    try:
        return cast("object", orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise malformed(endpoint, "it is not JSON") from error
