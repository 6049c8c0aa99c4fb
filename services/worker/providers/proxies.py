"""Which proxy a call goes through. Pure: the environment is passed in."""

from collections.abc import Mapping

import httpx

_SCHEMES = ("http", "https")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Proxies:
    """The configured proxy, else those of the environment as curl reads it; none to this machine itself.

    Args:
        proxy: URL of an HTTP proxy for all calls; "" for the environment's.
        environ: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case. Proxies that don't speak HTTP are
            passed over.

    Raises:
        ValueError: `proxy` is not the URL of an HTTP proxy.
    """

    def __init__(self, proxy: str, environ: Mapping[str, str]) -> None:
        if proxy and not _is_http(proxy):
            raise ValueError("the proxy for providers is not a URL like http://host:port")
        named = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy") and value}
        self._direct = [entry.strip().lower().lstrip(".") for entry in named.get("no_proxy", "").split(",")]
        self._by_scheme = {scheme: proxy or _first_http(named, scheme) for scheme in _SCHEMES}

    def proxy_for(self, url: httpx.URL) -> str:
        """The URL of the proxy for a call, with its user and password if it has them; "" for none."""
        proxy = self._by_scheme.get(url.scheme, "")
        return "" if url.host in _LOOPBACK or self._is_direct(url.host) else proxy

    def _is_direct(self, host: str) -> bool:
        """Whether `NO_PROXY` has this host, a domain above it, or a star."""
        return any(entry and (entry in ("*", host) or host.endswith(f".{entry}")) for entry in self._direct)


def _first_http(named: Mapping[str, str], scheme: str) -> str:
    candidates = (named.get(f"{scheme}_proxy", ""), named.get("all_proxy", ""))
    return next((url for url in candidates if _is_http(url)), "")


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in _SCHEMES and bool(parsed.host)
