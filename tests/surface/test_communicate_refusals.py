"""What `/communicate` refuses before a stream begins, in plain text; and where it asks for no key."""

from typing import Any

import httpx
import pytest

from books import apps_of, balance, ledger, saved_of
from neighbours import MakeApp
from raw import request, send_raw
from stack import Part, Stack, free_port
from talk import ask, communicate, parse_sse, said, text_of

TEXT = "text/plain; charset=utf-8"


def told(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"] == TEXT
    return response.status_code, response.text


@pytest.mark.requirement("muse.communicate.no-prompt", "muse.communicate.no-user")
@pytest.mark.parametrize("place", ["params", "data", "json"])
@pytest.mark.parametrize("empty", [None, "", " \n"])
def test_prompt_and_user_are_needed(client: httpx.Client, place: str, empty: str | None):
    given: dict[str, Any] = {} if empty is None else {"prompt": empty}
    assert told(client.post("/communicate", **{place: {**given, "user_id": "a"}})) == (400, "Missing prompt parameter")
    given = {} if empty is None else {"user_id": empty}
    assert told(client.post("/communicate", **{place: {**given, "prompt": "Hi"}})) == (400, "Missing user_id parameter")


@pytest.mark.requirement("muse.communicate.no-prompt")
def test_null_is_nothing_in_json(client: httpx.Client):
    response = client.post("/communicate", json={"prompt": None, "user_id": None})
    assert told(response) == (400, "Missing prompt parameter")


@pytest.mark.requirement("muse.communicate.broken-off")
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "image/png", ""])
def test_a_body_that_broke_off_could_not_be_read(stack: Stack, kind: str):
    headers = {"Content_Length": "100", "Content_Type": kind}
    sent = request("POST", "/communicate?prompt=Hi&user_id=a", stack.app_key, b'{"prompt":', **headers)
    response = send_raw(stack.base_url, sent, half_close=True)
    assert (response.status, response.body.decode()) == (500, "Error reading request body")
    assert response.headers["content-type"] == TEXT


@pytest.mark.requirement("muse.communicate.large")
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "image/png"])
def test_a_body_over_the_limit_is_too_large(client: httpx.Client, tuned: str, kind: str):
    headers = {**client.headers, "Content-Type": kind}
    query = {"prompt": "Hi", "user_id": "ann"}
    response = httpx.post(f"{tuned}/communicate", params=query, content=b"x" * 100_001, headers=headers)
    status, words = told(response)
    assert status == 413
    assert "100000" in words


@pytest.mark.requirement("muse.communicate.unknown-bytes")
@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "image/png", "audio/mpeg", None])
def test_bytes_that_are_no_picture_or_sound_are_refused(client: httpx.Client, user: str, kind: str | None):
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post(
        "/communicate", params={"prompt": "Hi", "user_id": user}, content=b"no picture", headers=headers
    )
    assert told(response)[0] == 415


@pytest.mark.requirement("muse.communicate.unknown-bytes")
def test_a_part_that_is_no_picture_or_sound_is_refused(stack: Stack, client: httpx.Client, user: str):
    parts = {"file": ("a.txt", b"no picture", "text/plain")}
    response = client.post("/communicate", data={"prompt": "Hi", "user_id": user}, files=parts)
    assert told(response)[0] == 415
    assert saved_of(stack.database, user) == []


@pytest.mark.requirement("muse.communicate.json")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_json_body_that_is_no_object_is_refused(client: httpx.Client, body: bytes):
    headers = {"Content-Type": "application/json"}
    response = client.post("/communicate", params={"prompt": "Hi", "user_id": "a"}, content=body, headers=headers)
    assert told(response)[0] == 400


@pytest.mark.requirement("muse.communicate.json")
@pytest.mark.parametrize("field", ["prompt", "user_id", "app_id"])
@pytest.mark.parametrize("value", [["a"], {"a": "b"}, True])
def test_a_field_that_is_no_text_is_refused_by_its_name(client: httpx.Client, field: str, value: object):
    status, words = told(client.post("/communicate", json={"prompt": "Hi", "user_id": "a", field: value}))
    assert status == 400
    assert words.startswith(f"{field}")


@pytest.mark.requirement("muse.communicate.query")
@pytest.mark.parametrize("user_id", ["x" * 256, "a\0b"])
def test_a_user_that_can_not_be_is_refused_by_its_name(client: httpx.Client, user_id: str):
    status, words = told(client.post("/communicate", json={"prompt": "Hi", "user_id": user_id}))
    assert status == 400
    assert words.startswith("user_id: ")


@pytest.mark.requirement("muse.communicate.line")
@pytest.mark.parametrize("path", ["/communicate", "/api/communicate"])
def test_a_request_line_may_be_as_long_as_64_kib(stack: Stack, user: str, path: str):
    target = f"{path}?user_id={user}&prompt="
    fits = send_raw(stack.base_url, request("POST", target.ljust(65_536, "x"), stack.app_key))
    assert (fits.status, fits.headers["content-type"]) == (200, "text/event-stream")
    over = send_raw(stack.base_url, request("POST", target.ljust(65_537, "x"), stack.app_key))
    assert (over.status, over.headers["content-type"]) == (414, TEXT)
    assert b"65536" in over.body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_wrong_method_is_refused_with_the_one_that_is_right(client: httpx.Client, method: str):
    response = client.request(method, "/communicate")
    assert told(response)[0] == 405
    assert "POST" in response.headers["Allow"]


@pytest.mark.requirement("muse.communicate.allow-list", "muse.field.allowed_user_ids")
def test_who_is_not_on_the_allow_list_is_forbidden(user: str, tuned: str, make_app: MakeApp):
    client = make_app(tuned)
    response = client.post("/communicate", params={"prompt": "/help", "user_id": user})
    status, words = told(response)
    assert status == 403
    assert user in words
    for allowed in ("ann", "bob", "root"):
        assert communicate(client, allowed, "/help")


@pytest.mark.requirement("muse.wins.allow-list")
def test_the_allow_list_does_not_hold_on_v1(user: str, tuned: str, make_app: MakeApp):
    assert ask(make_app(tuned), user)["answer"]


@pytest.mark.requirement("muse.field.admin_user_ids")
def test_an_admin_user_is_free_of_quota_and_its_usage_is_recorded(stack: Stack, tuned: str, make_app: MakeApp):
    client = make_app(tuned, token_per_user=600)
    for _ in range(2):
        assert text_of(communicate(client, "chief", "amber " * 400))
    assert balance(stack.database, "chief") == (600, 600, 600)
    settled = [row for row in ledger(stack.database, "chief") if row[0] == "settle"]
    assert [amount for _, amount, _ in settled] == [0, 0]
    assert all(tokens > 400 for _, _, tokens in settled)


@pytest.mark.requirement("muse.auth-off")
def test_without_auth_no_key_is_asked_for_and_the_default_app_serves(stack: Stack, user: str, unlocked: str):
    query = {"prompt": "Hello?", "user_id": user}
    response = httpx.post(f"{unlocked}/communicate", params=query, timeout=30)
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: Hello?"
    assert apps_of(stack.database, user) == ["default"]


@pytest.mark.requirement("muse.auth-off")
def test_without_auth_v1_asks_for_a_key_all_the_same(unlocked: str, user: str):
    assert httpx.post(f"{unlocked}/v1/chat-messages", json={"query": "Hi", "user": user}).status_code == 401


@pytest.mark.requirement("muse.auth-off.foreign")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8080"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "http://["}, 403),
    ],
)
def test_without_auth_a_foreign_host_or_origin_is_refused(unlocked: str, headers: dict[str, str], status: int):
    sent = request("POST", "/communicate?prompt=/help&user_id=a", "none", **headers)
    assert send_raw(unlocked, sent).status == status


@pytest.mark.requirement("muse.auth-off.loopback")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_without_auth_a_gateway_refuses_to_listen_for_others(stack: Stack, host: str):
    environ = {"HELICON_MUSE_AUTH": "off", "HELICON_HOST": host, "HELICON_PORT": str(free_port())}
    part = Part("refused", "services.gateway", {**stack.environ, **environ})
    part.process.wait(30)
    output = part.output
    assert part.stop() == 2
    assert "HELICON_MUSE_AUTH=off" in output
    assert len(output.splitlines()) == 1


@pytest.mark.requirement("muse.code.not-found")
@pytest.mark.parametrize("path", ["/", "/nothing", "/user/nothing", "/communicate/x", "/api"])
def test_an_unknown_path_of_the_muse_surface_is_not_found_in_its_envelope(client: httpx.Client, path: str):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json() == {"code": 210012, "msg": f"not found: There is nothing at {path}.", "data": None}
