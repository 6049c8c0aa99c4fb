"""`/record/list`: the turns of both surfaces."""

from itertools import product
from typing import Any

import httpx
import pytest

from books import saved_of
from neighbours import MakeApp, app_of
from shared.store.apps import find_app
from shared.store.records import delete_records
from shared.store.users import see_user
from stack import Stack
from talk import ask, communicate, text_of


def records(admin: httpx.Client, **query: object) -> dict[str, Any]:
    response = admin.get("/record/list", params=query)
    assert response.status_code == 200, response.text
    assert (response.json()["code"], response.json()["msg"]) == (0, "success")
    return response.json()["data"]


def delete(stack: Stack, app: str, user: str) -> int:
    """Mark all records of a user as deleted, as `/clear` does."""
    with stack.database.write() as session:
        return delete_records(session, see_user(session, find_app(session, app).id, user, 0))


@pytest.mark.requirement("muse.records", "muse.records.types", "muse.ids", "muse.times", "muse.lists")
def test_the_turns_of_both_surfaces_are_listed_with_exactly_their_fields(
    stack: Stack, admin: httpx.Client, client: httpx.Client, user: str
):
    first = text_of(communicate(client, user, "Hello Muse?"))
    second = ask(client, user, "Hello v1?")["answer"]
    third = text_of(communicate(client, user, "/help"))
    turns = saved_of(stack.database, user)
    data = records(admin, user_id=user)
    assert data["total"] == 3
    for item in data["list"]:
        assert list(item) == [
            "id",
            "user_id",
            "question",
            "answer",
            "content",
            "token",
            "is_deleted",
            "create_time",
            "record_type",
        ]
        assert 1.7e9 < item["create_time"] < 2**40
        assert 0 < item["id"] < 2**63
    shown = [(item["question"], item["answer"], item["token"], item["record_type"]) for item in data["list"]]
    assert shown == [
        ("/help", third, 0, 3),
        ("Hello v1?", second, turns[1].tokens, 0),
        ("Hello Muse?", first, turns[0].tokens, 0),
    ]
    assert {(item["user_id"], item["content"], item["is_deleted"]) for item in data["list"]} == {(user, "", 0)}
    assert [item["id"] for item in data["list"]] == sorted((item["id"] for item in data["list"]), reverse=True)
    assert turns[0].tokens > 0


@pytest.mark.requirement("muse.records.filters", "muse.records.types", "muse.pages", "muse.strings")
def test_filters_in_both_spellings_and_all_together(stack: Stack, admin: httpx.Client, make_app: MakeApp):
    client = make_app(token_per_user=0)
    name = app_of(client)
    for user, prompt in product(("ann", "bob"), ("One?", "/help", "Two?")):
        communicate(client, user, prompt)
    assert delete(stack, name, "bob") == 3
    ask(client, "bob", "Three?")

    def listed(**query: object) -> list[str]:
        data = records(admin, app_id=name, **query)
        questions = [f"{item['user_id']} {item['question']} {item['is_deleted']}" for item in data["list"]]
        assert data["total"] == len(questions)
        return questions

    ann = ["ann Two? 0", "ann /help 0", "ann One? 0"]
    deleted = ["bob Two? 1", "bob /help 1", "bob One? 1"]
    assert listed() == ["bob Three? 0", *deleted, *ann]
    for spelling in ("isDeleted", "is_deleted"):
        assert listed(**{spelling: "0"}) == ["bob Three? 0", *ann]
        assert listed(**{spelling: "1"}) == deleted
        assert listed(**{spelling: "1", "user_id": "ann"}) == []
        assert listed(**{spelling: "1", "user_id": "bob", "record_type": "3"}) == ["bob /help 1"]
    assert listed(user_id="ann") == ann
    assert listed(record_type="3") == ["bob /help 1", "ann /help 0"]
    assert listed(record_type="0,3", user_id="ann") == ann
    assert listed(record_type=" 3 , 0 ", user_id="ann") == ann
    assert listed(record_type="1,2,4,5") == []
    assert listed(isDeleted="", record_type="", user_id="") == ["bob Three? 0", *deleted, *ann]
    for spelling in ("pageSize", "page_size"):
        data = records(admin, app_id=name, page=2, **{spelling: 3})
        assert ([item["question"] for item in data["list"]], data["total"]) == (["One?", "Two?", "/help"], 7)


@pytest.mark.requirement("muse.records.deleted-values", "muse.code.param")
@pytest.mark.parametrize("name", ["isDeleted", "is_deleted"])
@pytest.mark.parametrize("value", ["2", "-1", "true", "null", "0,1", "00", "\u0661", "1.0", "9" * 400])
def test_any_other_value_of_is_deleted_is_refused(admin: httpx.Client, name: str, value: str):
    response = admin.get("/record/list", params={name: value})
    answer = {"code": 210009, "msg": f"param error: {name}: must be 0 or 1", "data": None}
    assert (response.status_code, response.json()) == (400, answer)


@pytest.mark.requirement("muse.records")
def test_what_people_write_comes_as_they_wrote_it(admin: httpx.Client, client: httpx.Client, user: str):
    words = 'Say "ü" \\ </script>\n\t\x01\u2028 \U0001f600 ' + "long " * 2000
    communicate(client, user, words[:3000])
    ask(client, user, words)
    assert [item["question"] for item in records(admin, user_id=user)["list"]] == [words, words[:3000].strip()]
