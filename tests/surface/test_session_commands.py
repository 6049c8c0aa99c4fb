"""`/state`, `/clear` and `/retry`: what each does, says and leaves untouched."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import update

from books import balance, ledger, records_of
from neighbours import MakeApp, Servers, neighbour
from shared.store.keys import create_key
from shared.store.models import McpServer, User
from stack import Stack
from talk import answer, ask, calls, communicate, end_of, first_said, listening, script, shown, text_of


def refusal(client: httpx.Client, user: str, prompt: str) -> tuple[int, str]:
    (end,) = communicate(client, user, prompt)
    assert end["event"] == "error"
    return end["status"], end["code"]


# /state


@pytest.mark.requirement("muse.command.state")
def test_state_tells_of_the_session(told: httpx.Client, user: str):
    used = end_of(communicate(told, user, "I like tea with milk and sugar."))["metadata"]["usage"]["total_tokens"]
    answer(told, user, "/mode demo-slow:20")
    lines = answer(told, user, "/state").split("\n")
    assert lines[:3] == [
        "Model: demo-slow:20",
        "Provider: demo",
        "Conversation: I like tea with milk… (turns: 1)",
    ]
    assert lines[3].startswith("MCP servers: ")
    assert lines[4:] == [f"Tokens used: {used} today, {used} in 7 days, {used} in 30 days, {used} in all"]


@pytest.mark.requirement("muse.command.state")
def test_state_names_the_mcp_servers_that_are_enabled(stack: Stack, servers: Servers, user: str):
    with neighbour(stack, servers, "state", 8) as other:
        with other.database.write() as session:
            key = create_key(session, kind="app", app="default")
        with other.client(key) as client:
            assert answer(client, user, "/state").split("\n")[2:4] == ["Conversation: none yet", "MCP servers: none"]
            with other.database.write() as session:
                for name, disabled in (("weather", False), ("files", False), ("old", True)):
                    session.add(McpServer(name=name, server={}, disabled=disabled))
            assert answer(client, user, "/state").split("\n")[3] == "MCP servers: files, weather"


@pytest.mark.requirement("muse.command.state")
def test_state_speaks_the_language_of_the_settings(speaking: httpx.Client, user: str, lang: str):
    words = {
        "en": ["Model: demo", "Provider: demo", "Conversation: none yet"],
        "zh": ["模型：demo", "提供商：demo", "对话：尚无"],  # noqa: RUF001
        "ru": ["Модель: demo", "Провайдер: demo", "Беседа: пока нет"],
    }
    assert answer(speaking, user, "/state").split("\n")[:3] == words[lang]


@pytest.mark.requirement("muse.command.state")
def test_state_answers_also_where_no_model_can_be_asked(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("keyless", HELICON_TYPE="openai")
    lines = answer(make_app(url), user, "/state").split("\n")
    assert lines[0] == "Model: none can be asked now."
    assert len(lines) == 4


# /clear


@pytest.mark.requirement("muse.command.clear")
def test_clear_deletes_the_records_and_begins_anew(speaking: httpx.Client, stack: Stack, user: str, lang: str):
    said = {
        "en": "Cleared: {} records. A new conversation is open.",
        "zh": "已清除 {} 条记录。已开始新的对话。",
        "ru": "Удалено записей: {}. Открыта новая беседа.",
    }
    answer(speaking, user, "I am Ann.")
    answer(speaking, user, "/help")
    answer(speaking, user, "/chat")
    answer(speaking, user, "I like tea.")
    ask(speaking, user, "On v1.")
    answer(speaking, f"{user}-other", "Another's.")
    frames = communicate(speaking, user, " /CLEAR  everything ")
    assert text_of(frames) == said[lang].format(4)
    assert records_of(stack.database, user) == [
        ("text", "I am Ann.", True),
        ("command", "/help", True),
        ("command", "/chat", True),
        ("text", "I like tea.", True),
        ("text", "On v1.", False),
        ("command", "/CLEAR everything", False),
    ]
    assert records_of(stack.database, f"{user}-other") == [("text", "Another's.", False)]
    following = communicate(speaking, user, f"What did I say, {user}?")
    assert following[0]["conversation_id"] == frames[0]["conversation_id"]
    assert shown(stack, f"What did I say, {user}?") == [("user", f"What did I say, {user}?")]


@pytest.mark.requirement("muse.command.clear")
def test_clearing_what_is_clear_clears_the_record_of_the_last_time(client: httpx.Client, user: str):
    assert answer(client, user, "/clear") == "Cleared: 0 records. A new conversation is open."
    assert answer(client, user, "/clear") == "Cleared: 1 records. A new conversation is open."


@pytest.mark.requirement("muse.command.clear")
def test_a_chat_that_is_answered_while_its_record_is_cleared_is_paid_and_not_shown_again(
    stack: Stack, told: httpx.Client, user: str
):
    answer(told, user, "/mode demo-slow:20")
    with listening(told, "POST", "/communicate", params={"prompt": "Hello?", "user_id": user}) as frames_of:
        first_said(frames_of)
        assert answer(told, user, "/clear") == "Cleared: 2 records. A new conversation is open."
        *_, end = (frame.data for frame in frames_of if frame.data)
    assert end["event"] == "message_end"
    assert balance(stack.database, user).left == 10_000 - end["metadata"]["usage"]["total_tokens"]
    answer(told, user, f"And, {user}?")
    assert shown(stack, f"And, {user}?") == [("user", f"And, {user}?")]


# /retry


@pytest.mark.requirement("muse.command.retry")
def test_retry_asks_the_last_question_again_and_replaces_its_answer(stack: Stack, client: httpx.Client, user: str):
    answer(client, user, "I am Ann.")
    script(stack, {"model": "demo", "text": "A bad answer."})
    first = communicate(client, user, f"Who am I, {user}?")
    assert text_of(first) == "A bad answer."
    answer(client, user, "/state")
    again = communicate(client, user, " /Retry now ")
    assert text_of(again) != "A bad answer."
    assert again[0]["conversation_id"] == first[0]["conversation_id"]
    assert records_of(stack.database, user) == [
        ("text", "I am Ann.", False),
        ("text", f"Who am I, {user}?", True),
        ("command", "/state", False),
        ("text", f"Who am I, {user}?", False),
    ]
    _, second = calls(stack, f"Who am I, {user}?")
    assert [message["content"] for message in second["body"]["messages"]] == [
        "I am Ann.",
        "Demo answer to: I am Ann.",
        f"Who am I, {user}?",
    ]


@pytest.mark.requirement("muse.command.retry")
def test_retry_asks_also_what_failed(stack: Stack, client: httpx.Client, user: str):
    script(stack, *[{"model": "demo", "status": 400, "error": "No."}])
    assert end_of(communicate(client, user, "Hello?"))["event"] == "error"
    assert answer(client, user, "/retry") == "Demo answer to: Hello?"


@pytest.mark.requirement("muse.command.retry")
def test_where_there_is_no_last_question_retry_says_so(speaking: httpx.Client, stack: Stack, user: str, lang: str):
    nothing = {"en": "no last question", "zh": "没有上一个问题", "ru": "нет предыдущего вопроса"}[lang]
    assert answer(speaking, user, "/retry") == nothing
    ask(speaking, user, "On v1.")
    answer(speaking, user, "/help")
    assert answer(speaking, user, "/retry") == nothing
    answer(speaking, user, "Hello?")
    answer(speaking, user, "/clear")
    assert answer(speaking, user, "/retry") == nothing
    assert ("text", "On v1.", False) in records_of(stack.database, user)


@pytest.mark.requirement("muse.command.retry", "muse.communicate.quota")
def test_a_retry_that_is_refused_deletes_nothing(stack: Stack, client: httpx.Client, user: str):
    answer(client, user, "Hello?")
    with stack.database.write() as session:
        session.execute(update(User).where(User.user_id == user).values(avail_token=0))
    assert refusal(client, user, "/retry") == (400, "provider_quota_exceeded")
    assert records_of(stack.database, user) == [("text", "Hello?", False)]


@pytest.mark.requirement("muse.command.retry", "muse.communicate.parallel")
def test_of_many_retries_at_once_one_is_answered(stack: Stack, client: httpx.Client, user: str):
    answer(client, user, "Hello?")
    script(stack, *[{"model": "demo", "text": "Slowly, again.", "faults": "demo-slow-first:1"}])
    with ThreadPoolExecutor(10) as threads:
        ends = list(threads.map(lambda _: end_of(communicate(client, user, "/retry")), range(10)))
    outcomes = Counter(end.get("code", "answered") for end in ends)
    assert outcomes["answered"] == 1
    assert set(outcomes) <= {"answered", "conflict", "too_many_chats"}
    assert records_of(stack.database, user) == [("text", "Hello?", True), ("text", "Hello?", False)]


# All of them


@pytest.mark.requirement("muse.command.balance", "muse.command.state", "muse.command.mode")
def test_commands_cost_nothing_and_are_records_of_their_own_kind(stack: Stack, client: httpx.Client, user: str):
    typed = ["/mode", "/mode demo", "/mode nix", "/balance", "/state", "/retry", "/help", "/nothing", "/chat", "/clear"]
    for prompt in typed:
        assert end_of(communicate(client, user, prompt))["metadata"]["usage"]["total_tokens"] == 0
    assert [(kind, query) for kind, query, _ in records_of(stack.database, user)] == [
        ("command", prompt) for prompt in typed
    ]
    assert ledger(stack.database, user) == [("grant", 10_000, 0)]


@pytest.mark.requirement("muse.command.clear", "muse.command.mode-set")
def test_all_commands_of_a_user_at_once_are_answered(stack: Stack, told: httpx.Client, user: str):
    prompts = ["/clear", "/chat", "/mode demo", "/state", "/mode", "/balance", "/help", "/clear"] * 5
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda prompt: answer(told, user, prompt), prompts))
    assert all(answers)
    cleared = [int(match[1]) for text in answers if (match := re.match(r"Cleared: (\d+) ", text))]
    deleted = sum(is_deleted for _, _, is_deleted in records_of(stack.database, user))
    assert (len(cleared), sum(cleared)) == (10, deleted)
    assert len(records_of(stack.database, user)) == len(prompts)
