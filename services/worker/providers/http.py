"""HTTP to the providers: one httpx client per process over aiohttp's connections, and calls whose answer is a stream.

How answers are read is the protocols' business, what failures mean is said in `failures`.
"""

import asyncio
import base64
import os
import ssl
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from services.worker.providers.base import Endpoint, Timeouts
from services.worker.providers.errors import ProviderError
from services.worker.providers.failures import TRANSPORT_ERRORS, malformed, map_transport_error, refused
from services.worker.providers.proxies import Proxies
from shared.domain.errors import ErrorCode

OK = 200
LONGEST_ERROR = 64 * 1024
"""Bytes of an error's body that are read."""
ERROR_SECONDS = 5.0
"""How long an error's body may take."""
REST_SECONDS = 0.25
"""How long a finished answer is listened to for its last bytes, without which its connection can't be used again."""
FAREWELL_SECONDS = 0.1
"""How long a TLS connection that is closed waits for the vendor to say farewell."""
PIECE = 256 * 1024
"""Bytes of a body that are sent in one piece; aiohttp warns of more than 1 MiB."""

_NO_STREAM = ("application/json", "text/html")
_HEADERS = {
    "User-Agent": "Helicon",
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A POST of a JSON document. `path` follows the endpoint's URL; `headers` carry the key."""

    path: str
    document: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def open_client(timeouts: Timeouts, proxy: Callable[[], str] = lambda: "") -> AsyncGenerator[httpx.AsyncClient]:
    """Open the process's client, on the loop that will use it.

    It has no limit of connections, keeps no cookies, follows no redirects and bounds nothing but connecting: the other
    waits are `retry`'s.

    Args:
        timeouts: of which `connect` is used, seconds.
        proxy: gives the URL of an HTTP proxy, asked at each call; "" for what the environment says (`HTTPS_PROXY`,
            `NO_PROXY`).
    """
    context = httpx.create_ssl_context()

    @lru_cache(maxsize=1)
    def routes(url: str) -> Proxies:
        return Proxies(url, os.environ)

    async with (
        aiohttp.ClientSession(connector=_connector(context), cookie_jar=aiohttp.DummyCookieJar()) as session,
        httpx.AsyncClient(
            transport=_Transport(session, context, lambda: routes(proxy())),
            timeout=httpx.Timeout(None, connect=timeouts.connect, pool=timeouts.connect),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers=_HEADERS,
            trust_env=False,
        ) as client,
    ):
        yield client


def _connector(context: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Connections without limit that close within a moment.

    A vendor that only writes does not see the TLS farewell, and uvloop waits 30 s for an answer to it: so long would a
    stopped answer go on and be paid. aiohttp wants the option away in 4.0; there is no other.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ssl_shutdown_timeout", category=DeprecationWarning)
        return aiohttp.TCPConnector(limit=0, ssl=context, ssl_shutdown_timeout=FAREWELL_SECONDS)


class _Transport(httpx.AsyncBaseTransport):
    """Sends each request through the proxy that its URL asks for; all share the connections of one session.

    (aiohttp's own reading of the environment would also look for a password in `.netrc`, in a thread, at every call.)
    """

    def __init__(self, session: aiohttp.ClientSession, context: ssl.SSLContext, proxies: Callable[[], Proxies]) -> None:
        self._session = session
        self._context = context
        self._proxies = proxies
        self._transports: dict[str, AiohttpTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._proxies().proxy_for(request.url)
        transport = self._transports.get(proxy)
        if transport is None:
            transport = self._transports[proxy] = AiohttpTransport(
                verify=self._context, proxy=_proxy(proxy) if proxy else None, client=self._session
            )
        return await transport.handle_async_request(request)


def _proxy(proxy: str) -> httpx.Proxy:
    """A proxy with its password in a header, which aiohttp sends to it as `Proxy-Authorization`.

    (The transport's own way makes a `BasicAuth`, which aiohttp has deprecated.)
    """
    url = httpx.URL(proxy)
    plain = httpx.URL(scheme=url.scheme, host=url.host, port=url.port)
    if not url.userinfo:
        return httpx.Proxy(plain)
    word = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    return httpx.Proxy(plain, headers={"Authorization": f"Basic {word}"})


@asynccontextmanager
async def post_stream(
    client: httpx.AsyncClient, endpoint: Endpoint, call: Call
) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Make a call and give its answer's bytes as they come; leaving closes the answer.

    Left without an exception, the answer's connection is kept for the next call; else it is closed.

    Raises:
        ProviderError: the vendor could not be reached, refused, or broke off.
    """
    answered = False
    try:
        response = await client.send(_request(client, endpoint, call), stream=True)
        answered = True
        try:
            await _check(response, endpoint)
            body = _bytes_of(response)
            yield body
            await _read_rest(body)
        finally:
            await response.aclose()
    except TRANSPORT_ERRORS as error:
        raise map_transport_error(error, endpoint, answered=answered) from error


def check_key(endpoint: Endpoint) -> None:
    """Refuse a key that no header can carry.

    Raises:
        ProviderError: NO_PROVIDER_KEY.
    """
    if not (endpoint.key.isascii() and endpoint.key.isprintable()):
        words = f"The key of {endpoint.provider} holds characters that no key has: enter it anew."
        raise ProviderError(ErrorCode.NO_PROVIDER_KEY, words)


def _request(client: httpx.AsyncClient, endpoint: Endpoint, call: Call) -> httpx.Request:
    check_key(endpoint)
    body = orjson.dumps(call.document)
    headers = {**call.headers, "Content-Length": str(len(body))}
    content = body if len(body) <= PIECE else _pieces(body)
    return client.build_request("POST", endpoint.url.rstrip("/") + call.path, content=content, headers=headers)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), PIECE):
        yield bytes(view[start : start + PIECE])


async def _check(response: httpx.Response, endpoint: Endpoint) -> None:
    """Raise what a refusal means, and refuse an answer that is no stream."""
    if response.status_code != OK:
        raise refused(endpoint, response.status_code, response.headers, await _beginning(response))
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _NO_STREAM:
        raise malformed(endpoint, f"{kind} instead of a stream of events")


async def _beginning(response: httpx.Response) -> bytes:
    """The first 64 KiB of a body, or what of them comes within 5 s and can be read."""
    beginning = bytearray()
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            async for chunk in _bytes_of(response):
                beginning += chunk
                if len(beginning) >= LONGEST_ERROR:
                    break
    except (*TRANSPORT_ERRORS, TimeoutError):
        pass  # the status says enough
    return bytes(beginning[:LONGEST_ERROR])


def _bytes_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes. httpx's own reading adds microseconds to each chunk, so it is used only to decompress."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return response.aiter_bytes()
    stream = response.stream
    if not isinstance(stream, AsyncIterable):
        raise TypeError("a client of another colour")
    return aiter(stream)


async def _read_rest(body: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(REST_SECONDS):
            async for _ in body:
                pass
    except TimeoutError:
        pass
