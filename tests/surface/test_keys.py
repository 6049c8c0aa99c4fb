"""Who may ask: keys of apps on `/v1`, of apps and administrators on `/communicate`."""

import httpx
import pytest
from sqlalchemy import select

from neighbours import MakeApp, app_of
from shared.store.apps import set_disabled
from shared.store.keys import create_key, revoke_key
from shared.store.models import ApiKey
from stack import Stack, wait_for
from talk import CHATS, ask, post

MISSING = "Authorization header must be provided and start with 'Bearer'"
SCHEME = "Authorization scheme must be 'Bearer'"
UNKNOWN = "Access token is invalid"
REFUSED = pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, MISSING),
        ("", MISSING),
        ("Bearer", MISSING),
        ("app-abc", MISSING),
        ("Basic YTpi", SCHEME),
        ("Token KEY", SCHEME),
        ("Bearer app-unknown", UNKNOWN),
        ("Bearer KEYx", UNKNOWN),
        ("Bearer KEY KEY", UNKNOWN),
        ("Bearer " + "x" * 5000, UNKNOWN),
        ("Bearer \xff\xfe", UNKNOWN),
    ],
)


def headers_of(stack: Stack, authorization: str | None) -> dict[str, bytes]:
    if authorization is None:
        return {}
    return {"Authorization": authorization.replace("KEY", stack.app_key).encode("latin-1")}


@pytest.mark.requirement("v1.auth.missing", "v1.auth.scheme", "v1.auth.unknown", "v1.auth.realm", "v1.errors.shape")
@REFUSED
@pytest.mark.parametrize(
    ("method", "path"), [("POST", CHATS), ("POST", f"{CHATS}/x/stop"), ("GET", f"{CHATS}/x/events?user=a")]
)
def test_v1_asks_for_the_key_of_an_app(stack: Stack, authorization: str | None, message: str, method: str, path: str):
    headers = headers_of(stack, authorization)
    response = httpx.request(method, stack.base_url + path, json={"query": "Hi", "user": "a"}, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json() == {"code": "unauthorized", "message": message, "status": 401}


@pytest.mark.requirement("v1.auth.bearer")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_taken_in_any_case(stack: Stack, user: str, scheme: str):
    headers = {"Authorization": f"{scheme} {stack.app_key}"}
    response = httpx.post(stack.base_url + CHATS, json={"query": "Hi", "user": user}, headers=headers, timeout=30)
    assert response.status_code == 200


@pytest.mark.requirement("v1.auth.bearer", "v1.auth.unknown")
def test_the_key_of_an_administrator_stands_for_no_app_on_v1(admin: httpx.Client, user: str):
    response = post(admin, user)
    assert (response.status_code, response.json()["message"]) == (401, UNKNOWN)


@pytest.mark.requirement("muse.communicate.login")
@REFUSED
def test_communicate_asks_for_a_key_in_words(stack: Stack, authorization: str | None, message: str):
    query = {"prompt": "Hi", "user_id": "a"}
    headers = headers_of(stack, authorization)
    response = httpx.post(f"{stack.base_url}/communicate", params=query, headers=headers)
    assert (response.status_code, response.text) == (401, message)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.requirement("v1.auth.disabled")
def test_the_key_of_a_disabled_app_is_forbidden_until_it_is_enabled_again(user: str, hurried: Stack, make_app: MakeApp):
    client = make_app(hurried)
    ask(client, user)
    with hurried.database.write() as session:
        set_disabled(session, app_of(client), disabled=True)
    response = wait_for(lambda: refused(client, user), "the app is disabled", 5)
    assert response == (
        403,
        {"code": "forbidden", "message": f"The app {app_of(client)!r} is disabled.", "status": 403},
    )
    muse = client.post("/communicate", params={"prompt": "Hi", "user_id": user})
    assert (muse.status_code, muse.text) == (403, f"The app {app_of(client)!r} is disabled.")
    with hurried.database.write() as session:
        set_disabled(session, app_of(client), disabled=False)
    wait_for(lambda: not refused(client, user), "the app is enabled", 5)


@pytest.mark.requirement("v1.keys.revoked")
def test_a_revoked_key_is_refused_within_5_seconds_at_every_gateway(stack: Stack, user: str, tuned: str):
    with stack.database.write() as session:
        key = create_key(session, kind="app", app="default")
    headers = {"Authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=stack.base_url, headers=headers) as client,
        httpx.Client(base_url=tuned, headers=headers) as other,
    ):
        ask(client, user)
        ask(other, user)
        with stack.database.write() as session:
            revoke_key(session, key[:12])
        for each in (client, other):
            status, fields = wait_for(lambda each=each: refused(each, user), "the key is refused", 5)
            assert (status, fields["message"]) == (401, UNKNOWN)


@pytest.mark.requirement("v1.keys.hash")
def test_no_key_stands_in_the_database(stack: Stack):
    with stack.database.read() as session:
        rows = [vars(row) for row in session.scalars(select(ApiKey))]
    kept = repr(rows).encode()
    assert rows
    for key in (stack.app_key, stack.admin_key):
        assert key.encode() not in kept
        assert all(len(row["sha256"]) == 32 for row in rows)


def refused(client: httpx.Client, user: str) -> tuple[int, dict] | None:
    response = client.post(f"{CHATS}/x/stop", json={"user": user})
    return None if response.status_code == 200 else (response.status_code, response.json())
