"""What is hidden of URLs and arguments, and what stays readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.secret_parts import has_mask, mask_parts, secrets_of_arguments, secrets_of_url

SECRET = "s3cr3t-abcdefgh-0123"
MASK = "s3c...0123"


def shown_url(url: str) -> str:
    return mask_parts(url, secrets_of_url(url))


def shown_arguments(*arguments: str) -> list[str]:
    return [mask_parts(*pair) for pair in zip(arguments, secrets_of_arguments(arguments), strict=True)]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://mcp.test/sse", "https://mcp.test/sse"),
        ("https://mcp.test:8443/a/b", "https://mcp.test:8443/a/b"),
        (f"https://ann:{SECRET}@mcp.test/", f"https://ann:{MASK}@mcp.test/"),
        ("https://ann:pa@ss@mcp.test/", "https://ann:***@mcp.test/"),
        ("https://ann:@mcp.test/", "https://ann:@mcp.test/"),
        (f"https://{SECRET}@mcp.test:80/", f"https://{MASK}@mcp.test:80/"),
        (f"https://mcp.test/?key={SECRET}&mode=read", f"https://mcp.test/?key={MASK}&mode=***"),
        (f"https://mcp.test/?{SECRET}", f"https://mcp.test/?{MASK}"),
        ("https://mcp.test/?key=&b", "https://mcp.test/?key=&***"),
        (f"https://mcp.test/#{SECRET}", f"https://mcp.test/#{MASK}"),
        ("https://mcp.test/@ann:word", "https://mcp.test/@ann:word"),
        ("https://mcp.test/?at=ann@mcp.test", "https://mcp.test/?at=***"),
    ],
)
def test_a_url_shows_where_it_leads_and_no_password_and_no_value_of_its_query(url: str, shown: str):
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-y", "mcp-server-time"], ["-y", "mcp-server-time"]),
        (["--api-key", SECRET, "--port", "80"], ["--api-key", MASK, "--port", "80"]),
        ([f"--api-key={SECRET}"], [f"--api-key={MASK}"]),
        ([f"--ACCESS_TOKEN={SECRET}"], [f"--ACCESS_TOKEN={MASK}"]),
        (["-e", f"GITHUB_TOKEN={SECRET}"], ["-e", f"GITHUB_TOKEN={MASK}"]),
        (["-e", "GITHUB_TOKEN", "image"], ["-e", "GITHUB_TOKEN", "image"]),
        (["--header", "Authorization: Bearer abcdef0123456789"], ["--header", "Authorization: Bea...6789"]),
        (["--config", '{"apiKey":"0123456789abcdef"}'], ["--config", '{"a...ef"}']),
        (["--config", '{"mode":"read"}'], ["--config", '{"mode":"read"}']),
        ([f"postgresql://ann:{SECRET}@db/shop"], [f"postgresql://ann:{MASK}@db/shop"]),
        ([f"--url=https://mcp.test/?k={SECRET}"], [f"--url=https://mcp.test/?k={MASK}"]),
        ([f"a https://b:{SECRET}@c d https://e/?f={SECRET}"], [f"a https://b:{MASK}@c d https://e/?f={MASK}"]),
        (["--no-auth", "--port"], ["--no-auth", "--port"]),
        (["--token="], ["--token="]),
        (["--token", ""], ["--token", ""]),
        ([], []),
    ],
)
def test_arguments_show_all_but_what_a_telling_name_announces(arguments: list[str], shown: list[str]):
    assert shown_arguments(*arguments) == shown


@pytest.mark.parametrize(("url", "masked"), [("https://a:***@b/", True), ("https://a/?b=c&d=***", True)])
def test_a_mask_is_known_where_a_secret_would_stand(url: str, masked: bool):  # noqa: FBT001
    assert has_mask(url, secrets_of_url(url)) is masked
    assert not has_mask("https://a:word@b/***", secrets_of_url("https://a:word@b/***"))


@given(secret=st.text(st.characters(exclude_characters="@/?#&", exclude_categories=["Z", "C"]), min_size=17))
def test_no_password_is_ever_shown(secret: str):
    for shown in (shown_url(f"https://ann:{secret}@mcp.test/"), *shown_arguments("--password", f"x{secret}")):
        assert secret[3:-4] not in shown.removeprefix("https://ann:").removesuffix("@mcp.test/")


@pytest.mark.parametrize("text", ["a" * 65_536, "://" * 20_000, "?" * 65_536, "a://" + "b:" * 30_000, "key" * 20_000])
def test_long_texts_are_read_in_one_go(text: str):
    assert secrets_of_arguments([text, text])
    assert isinstance(secrets_of_url(text), list)
