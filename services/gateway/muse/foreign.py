"""The Muse API without keys (`HELICON_MUSE_AUTH=off`): for clients on this machine, and for no web page of another."""

from urllib.parse import urlsplit

from flask import Request

from shared.domain.errors import ErrorCode, HeliconError

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def refuse_foreign(request: Request) -> None:
    """Refuse a request that was not meant for this machine, or comes from a page of another origin.

    Raises:
        HeliconError: FORBIDDEN.
    """
    hosts = {"Host": f"//{request.headers.get('Host', '')}", "Origin": request.headers.get("Origin", "//localhost")}
    for header, url in hosts.items():
        try:
            name = urlsplit(url).hostname
        except ValueError:
            name = None
        if name not in LOOPBACK:
            raise HeliconError(ErrorCode.FORBIDDEN, f"{header} is not this machine; HELICON_MUSE_AUTH is off.")
