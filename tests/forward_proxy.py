"""A little HTTP proxy that tests put between a worker and the demo upstream."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx


class Passed(NamedTuple):
    """A request as the proxy got it: the whole URL, and who sent it."""

    url: str
    authorization: str | None


class ForwardProxy(ThreadingHTTPServer):
    """Passes every request on to one upstream, whatever host it names."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.passed: list[Passed] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ForwardProxy

    def do_POST(self) -> None:
        self.server.passed.append(Passed(self.path, self.headers["Proxy-Authorization"]))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kept = {name: value for name, value in self.headers.items() if not name.startswith(("Proxy-", "Host"))}
        answer = httpx.post(self.server.upstream + urlsplit(self.path).path, content=body, headers=kept, timeout=30)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def forward_proxy(upstream: str) -> Iterator[ForwardProxy]:
    with ForwardProxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
