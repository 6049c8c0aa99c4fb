"""When `helicon up` says that it is ready, and what it says was missing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.launcher.embedded.ports import free_port
from services.launcher.errors import PartFailedError
from services.launcher.readiness import await_ready, base_url

READY = (200, json.dumps({"status": "ok", "checks": {"postgres": "ok", "workers": "ok"}}))
NO_WORKER = (200, json.dumps({"status": "ok", "checks": {"postgres": "ok", "workers": "missing"}}))
NO_POSTGRES = (503, json.dumps({"status": "failed", "checks": {"postgres": "failed", "workers": "ok"}}))


class Gateway(ThreadingHTTPServer):
    """Answers with what it is given, the last again and again."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.answers = list(answers)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Gateway)
        status, body = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(READY) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_waits_until_the_gateway_serves_and_knows_a_worker(gateway: Gateway) -> None:
    gateway.answers = [NO_POSTGRES, NO_WORKER, READY]
    await_ready("127.0.0.1", gateway.server_port, seconds=10)
    assert gateway.answers == [READY]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NO_WORKER, "/readyz answers 200, {'workers': 'missing'}"),
        (NO_POSTGRES, "/readyz answers 503, {'postgres': 'failed'}"),
        ((404, "<html>"), "/readyz answers 404 without checks"),
        ((200, "[]"), "/readyz answers 200 without checks"),
    ],
)
def test_says_what_was_missing(gateway: Gateway, answer: tuple[int, str], said: str) -> None:
    gateway.answers = [answer]
    with pytest.raises(PartFailedError) as caught:
        await_ready("127.0.0.1", gateway.server_port, seconds=0.1)
    assert str(caught.value) == f"not ready within 0.1 s: {said}"


def test_says_that_nobody_answers() -> None:
    with pytest.raises(PartFailedError, match="the gateway does not answer"):
        await_ready("127.0.0.1", free_port(), seconds=0.1)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - compared, not bound
        ("::", "http://[::1]:80"),
        ("box.local", "http://box.local:80"),
    ],
)
def test_the_base_url_leads_to_this_machine(host: str, url: str) -> None:
    assert base_url(host, 80) == url
