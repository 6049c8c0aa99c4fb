"""`/conf/*` with everything that is wrong: refused with the field and the reason, and nothing is changed."""

from collections.abc import Iterator
from typing import Any

import pytest

from raw import request, send_raw
from twins import Twins, refused

UPDATE = "/conf/update"
URLS = ("custom_url", "llm_proxy")
JSON = {"Content_Type": "application/json"}


@pytest.fixture(autouse=True)
def unchanged(twins: Twins) -> Iterator[None]:
    """Nothing that is refused here leaves a trace: no value, no version, no row of the audit."""
    before = twins.everything()
    yield
    assert twins.everything() == before


@pytest.mark.requirement("muse.conf.update")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, value) for key in ("temperature", "max_tokens") for value in (None, "", "many", [1], {}, True, False)],
        *[(key, value) for key in ("temperature", "max_tokens") for value in ("nan", "inf", "-inf", "1e999", 10**30)],
        *[("temperature", value) for value in (-0.1, 2.1, "-0.1", "2.1")],
        *[("top_p", value) for value in (0, -1, 1.01)],
        *[("max_tokens", value) for value in (0, -1, 1.5, "1.5", 1_000_001, 2**63, 2**64)],
        *[(key, value) for key in ("frequency_penalty", "presence_penalty") for value in (-2.1, 2.1)],
        *[("top_log_probs", value) for value in (-1, 21, 0.5)],
        *[("log_probs", value) for value in (None, "", "perhaps", 2, [], {})],
        *[("stop", value) for value in (True, 1.5, {}, [True], [None], [1.5], [["a"]], [{}], ["a\0b"], "a\0b")],
        *[("stop", value) for value in (["x"] * 17, ",".join("abcdefghijklmnopq"), ["x" * 256])],
    ],
)
def test_a_value_of_llm_that_can_not_be_is_refused(twins: Twins, key: str, value: object):
    words = refused(twins.post(UPDATE, {"type": "llm", "key": key, "value": value}))
    assert words.startswith(f"param error: llm.{key}: ")
    assert len(words) < 300


@pytest.mark.requirement("muse.conf.update")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("type", value) for value in (None, "", "nobody", "OpenAI", 1, True, ["openai"])],
        *[("lang", value) for value in (None, "", "de", "EN", 1)],
        *[(key, value) for key in URLS for value in (None, 1, True, [], "a", "ftp://a", "//a")],
        *[(key, "http://" + rest) for key in URLS for rest in ("", "a b", "[", "a:x", "a:99999")],
        *[("llm_proxy", "http://a" + rest) for rest in ("\0", "\n", "x" * 2048)],
        *[("openai_token", value) for value in (None, 1, True, [], {}, "a b", "a\nb", "a\0b", "ключ", "x" * 4097)],
        *[("token_per_user", value) for value in (-1, 10**15 + 1, 0.5, "ten", True)],
        *[("max_user_chat", value) for value in (-1, 10_001, True)],
        *[("max_qa_pair", value) for value in (-1, 10_001)],
        *[("context_expire_time", value) for value in (0, -1, 10**9 + 1)],
        *[("llm_retry_times", value) for value in (-1, 21)],
        *[("llm_retry_interval", value) for value in (-1, 60_001)],
        *[("character", value) for value in (None, 1, True, ["a"], {}, "a\0b", "x" * 100_001)],
        *[("default_model", value) for value in (None, 1, "a\0b", "x" * 256)],
        *[("allowed_user_ids", value) for value in (True, 1.5, {"a": 1}, [None], [True], [[]], ["a\0"], ["x" * 256])],
        *[("admin_user_ids", value) for value in (list(range(10_001)), ",".join(map(str, range(10_001))))],
    ],
)  # fmt: skip
def test_a_value_of_base_that_can_not_be_is_refused(twins: Twins, key: str, value: object):
    words = refused(twins.post(UPDATE, {"type": "base", "key": key, "value": value}))
    assert words.startswith(f"param error: base.{key}: ")
    assert len(words) < 300


@pytest.mark.requirement("muse.conf.update", "muse.conf.reset")
@pytest.mark.parametrize("path", [UPDATE, "/conf/reset"])
@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"type": "nothing", "key": "lang"}, ["type", "base", "audio", "llm", "photo", "rag", "video"]),
        ({"type": "x" * 100_000, "key": "lang"}, ["type"]),
        ({"type": "base", "key": "nothing"}, ["key", "'nothing'", "lang"]),
        ({"type": "base", "key": "x" * 100_000}, ["key"]),
        ({"type": "llm", "key": "lang"}, ["key", "'lang'", "max_tokens"]),
        ({"type": "llm", "key": "allowed_telegram_user_ids"}, ["key"]),
        ({"type": "rag", "key": "enabled"}, ["key", "none"]),
        ({"type": "base", "key": "__class__"}, ["key"]),
        ({"type": "base", "key": ""}, ["key"]),
        ({"type": "", "key": "lang"}, ["type"]),
        ({"type": "base"}, ["key"]),
        ({"key": "lang"}, ["type"]),
        ({}, ["type"]),
        ({"type": None, "key": "lang"}, ["type"]),
        ({"type": ["base"], "key": "lang"}, ["type"]),
        ({"type": "base", "key": {"a": 1}}, ["key"]),
        ({"type": "base", "key": 1}, ["key"]),
        ({"type": "ba\0se", "key": "lang"}, ["type"]),
        ({"type": "base", "key": "la\0ng"}, ["key"]),
    ],
)
def test_a_field_that_is_not_there_is_refused_with_those_that_are(
    twins: Twins, path: str, fields: dict[str, Any], names: list[str]
):
    words = refused(twins.post(path, {"value": "ru", **fields}))
    assert all(name in words for name in names), words
    assert len(words) < 1000


@pytest.mark.requirement("muse.conf.update")
def test_an_update_needs_a_value(twins: Twins):
    assert refused(twins.post(UPDATE, {"type": "base", "key": "lang"})).startswith("param error: value: ")


@pytest.mark.requirement("muse.conf.update")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"a"', b"7", b"\xff", b'{"type": "llm", "key": "max_tokens", "value": NaN}',
     b'{"type": "base", "key": "character", "value": "\\ud800"}', b'{"a":' * 5000],
)  # fmt: skip
def test_a_body_that_is_no_object_of_json_is_refused(twins: Twins, body: bytes):
    response = twins.gateways[0].post(UPDATE, content=body, headers={"Content-Type": "application/json"})
    assert refused(response).startswith("param error: ")


@pytest.mark.requirement("muse.conf.update")
def test_a_body_over_the_limit_is_refused(twins: Twins):
    body = {"type": "base", "key": "character", "value": "x" * (20 * 1024 * 1024)}
    refused(twins.post(UPDATE, body), 413)


@pytest.mark.requirement("muse.conf.update")
def test_a_form_is_refused(twins: Twins):
    refused(twins.gateways[0].post(UPDATE, data={"type": "base", "key": "lang", "value": "ru"}), 415)


@pytest.mark.requirement("muse.conf.update", "muse.conf.get", "muse.conf.command", "muse.conf.reset")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", UPDATE), ("PUT", "/conf/reset"), ("POST", "/conf/get"), ("DELETE", "/command/get")]
)
def test_a_wrong_method_is_refused_with_the_right_one(twins: Twins, method: str, path: str):
    response = twins.gateways[0].request(method, path)
    refused(response, 405, 210014)
    assert ("GET" if path.endswith("get") else "POST") in response.headers["Allow"]


@pytest.mark.requirement("muse.conf.update", "muse.conf.get", "muse.conf.command", "muse.conf.reset")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/conf/get"), ("POST", UPDATE), ("POST", "/conf/reset"), ("GET", "/command/get")]
)
def test_settings_are_shown_and_changed_with_an_admin_key_alone(twins: Twins, method: str, path: str):
    body = {"type": "base", "key": "lang", "value": "ru"}
    with twins.app() as client:
        refused(client.request(method, path, json=body), 403, 210011)
        refused(client.request(method, path, json=body, headers={"Authorization": "Bearer adm-no"}), 401, 210008)
        refused(client.request(method, path, json=body, headers={"Authorization": ""}), 401, 210008)


def test_what_is_refused_is_not_repeated_where_it_may_be_a_secret(twins: Twins):
    wrong = "sk-mistyped secret-0123456789"
    for key in ("openai_token", "llm_proxy", "custom_url"):
        assert "secret-0123456789" not in refused(twins.post(UPDATE, {"type": "base", "key": key, "value": wrong}))
    assert "secret-0123456789" not in twins.outputs


def test_a_body_that_breaks_off_changes_nothing(twins: Twins):
    body = b'{"type": "base", "key": "lang", "value": "ru"}'
    sent = request("POST", UPDATE, twins.admin_key, body, **JSON, Content_Length=str(len(body) + 1))
    assert send_raw(str(twins.gateways[0].base_url), sent, half_close=True).status == 500
