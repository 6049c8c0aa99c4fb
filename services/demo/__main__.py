"""`python -m services.demo --host 127.0.0.1 --port 8089`: the demo upstream in the foreground."""

import argparse
import sys

import uvloop

from services.demo.server import serve

DEFAULT_PORT = 8089


def main() -> None:
    """Read the command line and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m services.demo", description="Helicon's demo upstream.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 for any free one (default: %(default)s)")
    options = parser.parse_args()
    try:
        uvloop.run(serve(options.host, options.port))
    except OSError as error:
        sys.exit(f"demo upstream: can't listen on {options.host}:{options.port}: {error}")


if __name__ == "__main__":
    main()
