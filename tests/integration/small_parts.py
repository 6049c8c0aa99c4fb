"""`helicon up` with small parts in place of gateway, worker and demo upstream: a program that tests start.

Without arguments but the command line's it is `helicon`; as `small_parts.py --part MODULE ...` it is such a part.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    """A gateway without anything: it knows a worker, and tells what it was told."""

    def do_GET(self) -> None:
        told = {name: value for name, value in os.environ.items() if name.startswith(("HELICON_", "DEMO_"))}
        body = json.dumps({"status": "ok", "checks": {"workers": "ok"}, "told": told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def be_a_part(module: str, arguments: list[str]) -> None:
    """Say that it runs, and run until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(module, "runs", flush=True)  # noqa: T201 - what a part says
    if module == "services.worker":
        while True:
            signal.pause()
    port = int(arguments[-1]) if arguments else int(os.environ["HELICON_PORT"])
    ThreadingHTTPServer((os.environ.get("HELICON_HOST", "127.0.0.1"), port), Answers).serve_forever()


def be_helicon() -> int:
    """The command line, with its parts exchanged."""
    from services.launcher import cli, up  # noqa: PLC0415 - a part needs none of it
    from services.launcher.child import Command  # noqa: PLC0415
    from services.launcher.supervisor import Part  # noqa: PLC0415

    def part(name: str, environ: dict[str, str], stop_seconds: float, turn: int, *module: str) -> Part:
        command = Command((sys.executable, __file__, "--part", *module), environ=environ)
        return Part(name, lambda: command, stop_seconds, turn)

    up._part = part  # pyright: ignore[reportPrivateUsage]
    return cli.main()


if __name__ == "__main__":
    if sys.argv[1] == "--part":
        be_a_part(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(be_helicon())
