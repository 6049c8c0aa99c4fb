"""Whether the gateway serves and a worker listens: what `/readyz` says."""

import http.client
import json
import time
from contextlib import closing

from services.launcher.errors import PartFailedError

LOOPBACKS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
POLL_SECONDS = 0.2


def reachable_host(host: str) -> str:
    """Where a listener on `host` is found from this machine."""
    return LOOPBACKS.get(host, host)


def base_url(host: str, port: int) -> str:
    """URL of a gateway that listens there, for clients on this machine."""
    reachable = reachable_host(host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def await_ready(host: str, port: int, *, seconds: float) -> None:
    """Wait until the gateway answers 200 and knows of a worker.

    Raises:
        PartFailedError: not within `seconds`; the message says what was missing.
    """
    end = time.monotonic() + seconds
    while (missing := _what_is_missing(reachable_host(host), port)) is not None:
        if time.monotonic() > end:
            raise PartFailedError(f"not ready within {seconds:g} s: {missing}")
        time.sleep(POLL_SECONDS)


def _what_is_missing(host: str, port: int) -> str | None:
    try:
        status, body = _ask(host, port)
    except (OSError, http.client.HTTPException) as error:
        return f"the gateway does not answer ({error})"
    try:
        checks = json.loads(body)["checks"]
        failed = {name: state for name, state in checks.items() if state != "ok"}
        ready = status == http.HTTPStatus.OK and checks["workers"] == "ok"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"/readyz answers {status} without checks"
    return None if ready else f"/readyz answers {status}, {failed}"


def _ask(host: str, port: int) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(65_536)
