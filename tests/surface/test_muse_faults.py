"""The Muse API's JSON endpoints when there are too many requests, and when the database refuses or is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import psycopg
import pytest

from servers import temporary_folder
from services.launcher.embedded.postgres import EmbeddedPostgres, embedded_postgres
from shared.store.engine import open_database
from shared.store.keys import create_key
from shared.store.schema import upgrade
from stack import Stack, wait_for

TOO_MANY = "too many requests: Too many requests of this admin key: at most 2 within 60 s."


@pytest.mark.requirement("muse.code.rate")
def test_who_asks_too_often_with_an_admin_key_is_told_to_come_back(stack: Stack, user: str):
    url = stack.start_gateway("strict", HELICON_RATE_PER_ADMIN_KEY="2")
    with stack.database.write() as session:
        keys = [create_key(session, kind="admin", app=None) for _ in range(2)]
    try:
        first, second = (httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) for key in keys)
        with first, second:
            assert first.get("/user/list").status_code == 200
            assert first.post("/communicate", params={"prompt": "/help", "user_id": user}).status_code == 200
            for response in (
                first.get("/user/list"),
                first.post("/user/token/add", json={"user_id": user, "token": 1}),
            ):
                answer = response.json()
                assert (response.status_code, answer["code"], answer["data"]) == (429, 210013, None)
                assert answer["msg"].startswith(TOO_MANY)
                assert 1 <= int(response.headers["Retry-After"]) <= 60
            assert first.post("/communicate", params={"prompt": "/help", "user_id": user}).status_code == 429
            data = second.get("/user/list", params={"user_id": user}).json()["data"]
            assert [item["token"] for item in data["list"]] == [10_000]
    finally:
        stack.parts.pop("strict").stop()


class Orphan(NamedTuple):
    """An administrator at a gateway with a Postgres of its own."""

    admin: httpx.Client
    postgres: EmbeddedPostgres


@contextmanager
def orphan(stack: Stack) -> Iterator[Orphan]:
    with temporary_folder() as folder, embedded_postgres(folder, durable=False) as postgres:
        upgrade(postgres.url)
        database = open_database(postgres.url)
        with database.write() as session:
            key = create_key(session, kind="admin", app=None)
        database.close()
        url = stack.start_gateway("orphan", HELICON_DATABASE_URL=postgres.url, HELICON_DATABASE_SECONDS="3")
        try:
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as admin:
                yield Orphan(admin, postgres)
        finally:
            stack.parts.pop("orphan").stop()


def make_read_only(postgres: EmbeddedPostgres, value: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")


def told(response: httpx.Response) -> tuple[int, int, str, object]:
    """Status, code, message and data of a refusal that says when to come back."""
    assert int(response.headers["Retry-After"]) >= 1
    answer = response.json()
    return response.status_code, answer["code"], answer["msg"], answer["data"]


@pytest.mark.requirement("muse.code.write", "muse.code.read")
def test_while_the_database_refuses_or_is_away_clients_are_told_to_come_back_and_then_served(stack: Stack, user: str):
    def add(admin: httpx.Client) -> httpx.Response:
        return admin.post("/user/token/add", json={"user_id": user, "token": 1})

    def choose(admin: httpx.Client) -> httpx.Response:
        return admin.post("/user/update/mode", data={"user_id": user, "mode": "demo"})

    with orphan(stack) as (admin, postgres):
        nobody = {"list": [], "total": 0}
        assert admin.get("/user/list").json()["data"] == nobody
        make_read_only(postgres, "on")
        refusal = (503, 210005, "db write fail: The database is away. Try again in a moment.", None)
        wait_for(lambda: add(admin).status_code == 503, "the database is read-only")
        assert [told(add(admin)), told(choose(admin))] == [refusal, refusal]
        read = admin.get("/user/list", params={"user_id": f"{user}-2"})
        assert (read.status_code, read.json()["data"]) == (200, nobody)
        postgres.kill()
        refusal = (503, 210006, "db query fail: The database is away. Try again in a moment.", None)
        for path in ("/user/list", "/record/list"):
            assert told(admin.get(path)) == refusal
        postgres.start()
        make_read_only(postgres, "off")
        wait_for(lambda: choose(admin).status_code == 200, "the database takes writes again")
        assert admin.get("/record/list").json()["data"] == nobody
        data = admin.get("/user/list", params={"user_id": user}).json()["data"]
        assert [item["mode"] for item in data["list"]] == ["demo"]
