"""Which proxy a call goes through."""

import httpx
import pytest

from services.worker.providers.proxies import Proxies

VENDOR = "https://api.acme.test/v1"


def proxy_for(url, proxy="", **environ):
    return Proxies(proxy, environ).proxy_for(httpx.URL(url))


def test_the_configured_proxy_goes_over_the_environment():
    assert proxy_for(VENDOR, "http://ours:1", HTTPS_PROXY="http://theirs:2") == "http://ours:1"


def test_the_environment_names_one_for_each_scheme_or_for_all():
    environ = {"https_proxy": "http://a:1", "ALL_PROXY": "http://b:2"}
    assert (proxy_for(VENDOR, **environ), proxy_for("http://acme.test", **environ)) == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("no_proxy", ["acme.test", ".acme.test", "api.acme.test", "x.test, acme.test", "*"])
def test_some_hosts_are_called_directly(no_proxy):
    assert proxy_for(VENDOR, "http://ours:1", NO_PROXY=no_proxy) == ""


@pytest.mark.parametrize("no_proxy", ["", ",", "cme.test", "test.acme"])
def test_other_hosts_are_not(no_proxy):
    assert proxy_for(VENDOR, "http://ours:1", NO_PROXY=no_proxy) == "http://ours:1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/v1", "http://localhost:1", "http://[::1]:8000/v1"])
def test_this_machine_is_called_directly(url):
    assert proxy_for(url, "http://ours:1") == ""


def test_a_proxy_that_does_not_speak_http_is_passed_over_in_the_environment():
    assert proxy_for(VENDOR, ALL_PROXY="socks5://a:1") == ""


@pytest.mark.parametrize("proxy", ["socks5://a:1", "a:1", "http://", "nonsense"])
def test_a_proxy_that_does_not_speak_http_is_refused_in_the_settings(proxy):
    with pytest.raises(ValueError, match="is not a URL like http://host:port"):
        Proxies(proxy, {})
