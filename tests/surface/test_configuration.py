"""`/conf/*`, `/command/get`: what is in force is shown, changed while everything runs, and taken back."""

import json
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select, text

from shared.store.models import AuditEntry, LiveSetting
from stack import wait_for
from talk import ask, calls
from twins import Twins, data_of, refused

KEY = "sk-test-0123456789-wxyz"
MASK = "sk-...wxyz"
SECTIONS = {"base", "audio", "llm", "photo", "rag", "video"}


@pytest.mark.requirement("muse.conf.get", "muse.field.rag")
def test_all_six_sections_are_shown_with_the_values_in_force(twins: Twins):
    shown = twins.values()
    assert set(shown) == SECTIONS
    assert [shown[name] for name in ("audio", "photo", "rag", "video")] == [{}, {}, {}, {}]
    assert shown["llm"] == {
        "temperature": 0.7,
        "top_p": 0.8,
        "max_tokens": 2048,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "stop": None,
        "log_probs": False,
        "top_log_probs": 0,
    }
    base = shown["base"]
    assert (base["type"], base["lang"], base["token_per_user"], base["max_user_chat"]) == ("demo", "en", 10_000, 2)
    assert (base["allowed_user_ids"], base["character"], base["openai_token"]) == ([], "", "")


@pytest.mark.requirement("muse.conf.live")
@pytest.mark.parametrize("gateway", [0, 1])
def test_a_change_by_either_gateway_is_in_force_in_every_process_at_once(twins: Twins, user: str, gateway: int):
    twins.update("base", "character", f"Be {user}.", gateway)
    assert [twins.value("base", "character", number) for number in (0, 1)] == [f"Be {user}."] * 2
    twins.update("base", "openai_token", f"sk-{user}", gateway)
    asked = twins.asked_by_both(user, provider="openai")
    assert [call["key"] for call in asked] == [f"sk-***{user[-4:]}"] * 2
    prompts = [call["body"]["messages"][0] for call in asked]
    assert prompts == [{"role": "system", "content": f"Be {user}."}] * 2


@pytest.mark.requirement("muse.conf.live")
def test_who_made_a_change_sees_it_in_force_when_it_is_answered(twins: Twins):
    for number in range(20):
        twins.post("/conf/update", {"type": "llm", "key": "max_tokens", "value": 100 + number})
        assert twins.value("llm", "max_tokens") == 100 + number


@pytest.mark.requirement("muse.conf.live")
def test_chats_are_streamed_by_both_gateways_after_a_change(twins: Twins, user: str):
    twins.update("llm", "max_tokens", 99)
    for gateway in (0, 1):
        with twins.app(gateway) as client:
            assert ask(client, user)["answer"]


@pytest.mark.requirement("muse.conf.reset", "muse.wins.stored")
def test_what_is_stored_wins_over_the_environment_until_it_is_taken_back(twins: Twins, user: str):
    twins.update("llm", "top_p", 0.25)
    twins.update("llm", "temperature", 0.5)
    sent = [call["body"] for call in twins.asked_by_both(f"{user} 1")]
    assert [(body["top_p"], body["temperature"]) for body in sent] == [(0.25, 0.5)] * 2
    twins.reset("llm", "top_p", 1)
    twins.reset("llm", "temperature")
    assert [(llm["top_p"], llm["temperature"]) for llm in (twins.values(0)["llm"], twins.values(1)["llm"])] == [
        (0.8, 0.7)
    ] * 2
    sent = [call["body"] for call in twins.asked_by_both(f"{user} 2")]
    assert [(body["top_p"], body["temperature"]) for body in sent] == [(0.8, 0.7)] * 2


@pytest.mark.requirement("muse.conf.reset")
def test_what_was_never_changed_is_taken_back_without_a_trace(twins: Twins):
    before = twins.everything()
    assert data_of(twins.post("/conf/reset", {"type": "llm", "key": "max_tokens"})) == ""
    assert twins.everything() == before


@pytest.mark.requirement("muse.wins.stored")
def test_the_default_can_be_stored_over_the_environment(twins: Twins):
    twins.update("llm", "top_p", 0.9)
    assert twins.value("llm", "top_p", 1) == 0.9


def test_of_many_updates_at_once_by_two_gateways_none_is_lost(twins: Twins):
    fields = ["temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "top_log_probs"]
    before, rows = twins.version(), len(twins.audit())

    def change(number: int) -> int:
        key = fields[number % len(fields)]
        body = {"type": "llm", "key": key, "value": 1 + (number // len(fields)) % 2 * (0 if key == "top_p" else 1)}
        return twins.post("/conf/update", body, gateway=number // 3 % 2).status_code

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(change, range(60))) == {200}
    changes = twins.audit()[rows:]
    assert (twins.version() - before, len(changes)) == (60, 60)
    in_force = {f"llm.{key}": twins.value("llm", key) for key in fields}
    for target, value in in_force.items():
        chain = [(old, new) for _, _, changed, old, new in changes if changed == target]
        assert [old for old, _ in chain[1:]] == [new for _, new in chain[:-1]], "each saw the one before"
        assert chain[-1][1] == value
    wait_for(lambda: twins.values(0) == twins.values(1), "both gateways have the last of them")


@pytest.mark.requirement("muse.conf.audit")
def test_every_change_is_audited_with_who_made_it_and_how_it_was(twins: Twins):
    rows = len(twins.audit())
    twins.update("base", "lang", "zh")
    twins.update("base", "lang", "ru", 1)
    twins.update("base", "openai_token", KEY)
    twins.reset("base", "openai_token")
    twins.update("base", "allowed_telegram_user_ids", "1,2")
    actor = twins.admin_key[:12]
    assert twins.audit()[rows:] == [
        (actor, "conf.update", "base.lang", "en", "zh"),
        (actor, "conf.update", "base.lang", "zh", "ru"),
        (actor, "conf.update", "base.openai_token", "", MASK),
        (actor, "conf.reset", "base.openai_token", MASK, ""),
        (actor, "conf.update", "base.allowed_user_ids", [], ["1", "2"]),
    ]
    with twins.stack.database.read() as session:
        newest = session.scalars(select(func.max(AuditEntry.created_at))).one()
    assert abs(newest.timestamp() - time.time()) < 60


@dataclass(frozen=True)
class Secret:
    """A field's value, what of it nobody may see, how it is shown, and the mask of another value."""

    key: str
    value: str
    hidden: str
    mask: str
    other: str


SECRETS = [
    Secret("openai_token", KEY, KEY, MASK, "sk-...abcd"),
    Secret("demo_token", "tiny-word", "tiny-word", "***", MASK),
    Secret(
        key="llm_proxy",
        value="http://bob:pass-0123456789-word@proxy.test:3128",
        hidden="pass-0123456789-word",
        mask="http://bob:pas...word@proxy.test:3128",
        other="http://bob:***@proxy.test:3128",
    ),
    Secret(
        key="custom_url",
        value="http://bob:tiny-word@upstream.test/v1",
        hidden="tiny-word",
        mask="http://bob:***@upstream.test/v1",
        other="http://bob:***@elsewhere.test/v1",
    ),
]


def tables(twins: Twins) -> str:
    """What the database keeps of the settings and their changes."""
    with twins.stack.database.read() as session:
        rows = [session.scalars(text(f"SELECT to_jsonb(t) FROM {name} t")).all() for name in ("live_settings", "audit")]
    return json.dumps(rows)


@pytest.mark.requirement("muse.conf.get", "muse.conf.masked", "muse.conf.command", "muse.conf.audit")
@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.key)
def test_a_secret_is_seen_nowhere_and_its_mask_sent_back_changes_nothing(twins: Twins, secret: Secret):
    twins.update("base", secret.key, secret.value)
    assert [twins.value("base", secret.key, gateway) for gateway in (0, 1)] == [secret.mask] * 2
    assert f"-{secret.key}={secret.mask}" in shlex.split(data_of(twins.gateways[1].get("/command/get")))
    before = twins.everything()
    assert data_of(twins.post("/conf/update", {"type": "base", "key": secret.key, "value": secret.mask})) == ""
    words = refused(twins.post("/conf/update", {"type": "base", "key": secret.key, "value": secret.other}))
    assert f"base.{secret.key}: " in words
    assert twins.everything() == before
    assert secret.mask in tables(twins)
    assert secret.hidden not in tables(twins) + twins.outputs


def test_the_row_of_a_secret_has_it_sealed_and_anew_each_time(twins: Twins):
    def row() -> dict[str, str]:
        with twins.stack.database.read() as session:
            return session.scalars(select(LiveSetting.value).where(LiveSetting.key == "openai_token")).one()

    twins.update("base", "openai_token", KEY)
    first = row()
    assert set(first) == {"sealed", "mask"}
    assert first["mask"] == MASK
    twins.update("base", "openai_token", KEY)
    assert row()["sealed"] != first["sealed"]


@pytest.mark.requirement("muse.conf.masked")
def test_a_masked_value_keeps_the_key_that_is_used(twins: Twins, user: str):
    twins.update("base", "openai_token", KEY)
    assert data_of(twins.post("/conf/update", {"type": "base", "key": "openai_token", "value": MASK})) == ""
    assert [call["key"] for call in twins.asked_by_both(user, provider="openai")] == ["sk-***wxyz"] * 2


def test_a_key_can_be_taken_away_by_an_empty_one(twins: Twins, user: str):
    twins.update("base", "demo_token", KEY)
    twins.update("base", "demo_token", "")
    assert twins.value("base", "demo_token", 1) == ""
    assert [call["key"] for call in twins.asked_by_both(user)] == [None, None]


def test_a_secret_that_can_not_be_opened_is_told_and_all_else_holds(twins: Twins, user: str):
    twins.update("base", "openai_token", KEY)
    with twins.stack.database.write() as session:
        row = session.get(LiveSetting, ("base", "openai_token"))
        assert row
        row.value = {"sealed": "AAAA" + row.value["sealed"][4:], "mask": MASK}
    twins.update("llm", "max_tokens", 55)
    lines = [part.output for name, part in twins.stack.parts.items() if name.startswith("worker")]
    assert all('"live.secret_not_opened"' in output and '"base.openai_token"' in output for output in lines)
    (call, _) = twins.asked_by_both(user)
    assert call["body"]["max_tokens"] == 55
    with twins.app(provider="openai", model="demo") as client:
        answer = client.post("/v1/chat-messages", json={"query": user, "user": user})
    assert (answer.status_code, answer.json()["code"]) == (400, "provider_not_initialize")
    assert len(calls(twins.stack, user)) == 2


@pytest.mark.requirement("muse.conf.lists")
@pytest.mark.parametrize("key", ["allowed_user_ids", "allowed_telegram_user_ids", "admin_user_ids"])
@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("1,2,3", ["1", "2", "3"]),
        (" ann , bob,, ", ["ann", "bob"]),
        (["ann", "bob"], ["ann", "bob"]),
        ([1, 2, "ann"], ["1", "2", "ann"]),
        ('["ann", 7]', ["ann", "7"]),
        ("[ann],bob", ["[ann]", "bob"]),
        (7, ["7"]),
        ("", []),
        ([], []),
        (None, []),
        (["", "ann"], ["ann"]),
        (list(range(10_000)), [str(number) for number in range(10_000)]),
    ],
)
def test_a_list_of_users_is_read_however_it_is_written(twins: Twins, key: str, value: object, items: list[str]):
    twins.post("/conf/update", {"type": "base", "key": key, "value": value})
    assert twins.value("base", key.replace("telegram_", "")) == items


@pytest.mark.requirement("muse.conf.lists")
@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("ox, yak", ["ox", "yak"]),
        (["ox, yak", "\n", " "], ["ox, yak", "\n", " "]),
        ('["a,b"]', ["a,b"]),
        ([1], ["1"]),
        (None, None),
        ([], None),
        ("", None),
    ],
)
def test_stop_words_are_read_however_they_are_written(twins: Twins, value: object, items: list[str] | None):
    assert data_of(twins.post("/conf/update", {"type": "llm", "key": "stop", "value": value})) == ""
    assert twins.value("llm", "stop") == items


@pytest.mark.requirement("muse.conf.update")
@pytest.mark.parametrize(
    ("section", "key", "value", "read"),
    [
        ("llm", "max_tokens", "100", 100),
        ("llm", "max_tokens", 100.0, 100),
        ("llm", "temperature", "0.25", 0.25),
        ("llm", "temperature", 1, 1.0),
        ("llm", "log_probs", "true", True),
        ("llm", "log_probs", "on", True),
        ("llm", "log_probs", 1, True),
        ("base", "max_user_chat", "0", 0),
        ("base", "openai_token", f"  {KEY}\n", MASK),
        ("base", "character", "Zwei\nZeilen 🦊", "Zwei\nZeilen 🦊"),
    ],
)
def test_numbers_and_booleans_may_be_texts(twins: Twins, section: str, key: str, value: object, read: object):
    twins.update(section, key, value)
    shown = twins.value(section, key, 1)
    assert (shown, type(shown)) == (read, type(read))


def test_the_fields_may_stand_in_the_query(twins: Twins):
    response = twins.gateways[0].post(
        "/conf/update", params={"type": "llm", "key": "max_tokens", "value": "9"}, json={}
    )
    assert data_of(response) == ""
    assert twins.value("llm", "max_tokens") == 9
