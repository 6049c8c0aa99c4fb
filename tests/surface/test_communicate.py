"""`POST /communicate`: prompts and commands in, the frames of surface B out."""

from typing import Any

import httpx
import pytest

from books import apps_of, balance, saved_of
from neighbours import MakeApp, app_of
from shared.catalogue.texts import load_texts
from stack import Stack, wait_for
from talk import (
    answer,
    ask,
    calls,
    chatting,
    communicate,
    end_of,
    events,
    first_said,
    listening,
    parse_sse,
    said,
    shown,
    stop,
    stream,
    text_of,
)

PATHS = pytest.mark.parametrize("path", ["/communicate", "/api/communicate"])
COMMANDS = ("chat", "mode", "balance", "state", "clear", "retry", "help")
HELP = {
    lang: "\n".join(f"/{name} — {load_texts()[f'help.{name}'][lang]}" for name in COMMANDS)
    for lang in ("en", "zh", "ru")
}


def conversation(client: httpx.Client, user: str, prompt: str) -> str:
    return communicate(client, user, prompt)[0]["conversation_id"]


@pytest.mark.requirement(
    "muse.communicate.paths", "muse.communicate.query", "muse.communicate.headers", "muse.communicate.one-end"
)  # fmt: skip
@PATHS
def test_a_prompt_is_answered_as_a_stream(client: httpx.Client, user: str, path: str):
    response = client.post(path, params={"prompt": "Hello?", "user_id": user})
    assert response.status_code == 200
    headers = ("Content-Type", "Cache-Control", "X-Accel-Buffering", "Connection")
    assert [response.headers[name] for name in headers] == ["text/event-stream", "no-cache", "no", "keep-alive"]
    frames = said(parse_sse(response.text))
    assert text_of(frames) == "Demo answer to: Hello?"
    assert end_of(frames)["event"] == "message_end"


def skeleton(frame: dict[str, Any]) -> dict[str, Any]:
    """The names and types of all that a frame has, in their order."""
    return {name: skeleton(value) if isinstance(value, dict) else type(value) for name, value in frame.items()}


@pytest.mark.requirement("muse.communicate.frames")
@pytest.mark.parametrize("prompt", ["Hello?", "/help", "/chat", "/nothing"])
def test_its_frames_are_those_of_surface_b(client: httpx.Client, user: str, prompt: str):
    message, *_, end = stream(client, user)
    frames = communicate(client, user, prompt)
    assert [skeleton(frame) for frame in frames[:-1]] == [skeleton(message)] * (len(frames) - 1)
    usage = skeleton(end)["metadata"]["usage"]
    kinds = {name: (kind, float, int) for name, kind in usage.items()}
    shown_usage = skeleton(frames[-1])["metadata"]["usage"]
    assert list(shown_usage) == list(usage)
    assert all(kind in kinds[name] for name, kind in shown_usage.items())
    assert list(skeleton(frames[-1])) == list(skeleton(end))
    ids = ("task_id", "message_id", "conversation_id", "created_at")
    assert len({tuple(frame[name] for name in ids) for frame in frames}) == 1


@pytest.mark.requirement("muse.command.plain", "muse.command.chat")
def test_prompts_go_on_in_the_current_conversation_with_its_history(stack: Stack, client: httpx.Client, user: str):
    first = conversation(client, user, "I am Ann.")
    second = conversation(client, user, "/chat I like tea.")
    third = conversation(client, user, f"And {user}?")
    assert {first} == {second, third}
    assert shown(stack, f"And {user}?") == [
        ("user", "I am Ann."),
        ("assistant", "Demo answer to: I am Ann."),
        ("user", "I like tea."),
        ("assistant", "Demo answer to: I like tea."),
        ("user", f"And {user}?"),
    ]


@pytest.mark.requirement("muse.command.chat-alone")
def test_chat_alone_opens_a_new_conversation_and_says_so(client: httpx.Client, user: str):
    first = conversation(client, user, "I am Ann.")
    frames = communicate(client, user, "/chat")
    assert text_of(frames) == "A new conversation is open."
    assert frames[0]["conversation_id"] != first
    assert conversation(client, user, "What did I say?") == frames[0]["conversation_id"]
    assert answer(client, user, "What did I say?") == 'Demo answer: you said "What did I say?".'


@pytest.mark.requirement("muse.command.plain")
def test_a_conversation_of_v1_is_not_the_current_one(client: httpx.Client, user: str):
    elsewhere = ask(client, user)["conversation_id"]
    assert conversation(client, user, "Hello?") != elsewhere


@pytest.mark.requirement("muse.command.word")
@pytest.mark.parametrize("prompt", ["/help", "/HELP", "  /Help  ", "\n/help me with this"])
def test_a_command_is_the_first_word_in_any_case(stack: Stack, client: httpx.Client, user: str, prompt: str):
    assert answer(client, user, prompt) == HELP["en"]
    assert [(message.state, message.tokens) for message in saved_of(stack.database, user)] == [("succeeded", 0)]


@pytest.mark.requirement("muse.command.help", "muse.field.lang")
def test_help_lists_the_commands_in_the_language_of_the_settings(
    client: httpx.Client, unlocked: str, tuned: str, user: str, make_app: MakeApp
):
    assert answer(client, user, "/help") == HELP["en"]
    with httpx.Client(base_url=unlocked) as chinese:
        assert answer(chinese, user, "/help") == HELP["zh"]
    assert answer(make_app(tuned), "ann", "/help") == HELP["ru"]


@pytest.mark.requirement("muse.command.unknown")
@pytest.mark.parametrize("prompt", ["/nothing", "/nothing at all", "/", "/ help", "/chatter", "//chat"])
def test_an_unknown_command_is_answered_with_the_help_and_no_model_is_asked(
    stack: Stack, client: httpx.Client, user: str, prompt: str
):
    text = answer(client, user, f"{prompt} {user}")
    hint, _, rest = text.partition("\n")
    assert hint == f"Unknown command: {prompt.split(maxsplit=1)[0]}. These are known:"
    assert rest == HELP["en"]
    assert calls(stack, f"{prompt} {user}") == []
    assert balance(stack.database, user).left == 10_000


@pytest.mark.requirement("muse.communicate.task", "v1.stop.success")
def test_its_task_can_be_stopped_and_heard_again_on_v1(user: str, hurried: Stack, make_app: MakeApp):
    client = make_app(hurried)
    frames = communicate(client, user, "Hello?")
    assert said(events(client, user, frames[0]["task_id"])) == frames
    for prompt in ("/help", "/chat"):
        frames = communicate(client, user, prompt)
        assert said(events(client, user, frames[0]["task_id"])) == frames
        assert stop(client, user, frames[0]["task_id"]) == {"result": "success"}


@pytest.mark.requirement("muse.communicate.task", "v1.stop.running")
def test_its_running_task_is_stopped_on_v1(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("slow", HELICON_DEFAULT_MODEL="demo-slow:30+tokens:300")
    client = make_app(url)
    query = {"prompt": user, "user_id": user}
    with listening(client, "POST", "/communicate", params=query) as frames_of:
        frames = [first_said(frames_of)]
        assert stop(client, user, frames[0]["task_id"]) == {"result": "success"}
        frames += said(frames_of)
    assert end_of(frames)["event"] == "message_end"
    (call,) = wait_for(lambda: [call for call in calls(stack, user) if call["closed_by"]], "the call has ended")
    assert (call["closed_by"], call["finished"]) == ("client", False)


@pytest.mark.requirement("muse.app.key", "muse.keys.communicate")
def test_an_app_key_acts_in_its_app(stack: Stack, user: str, make_app: MakeApp):
    client, other = make_app(), make_app()
    communicate(client, user, "Hello?", app_id=app_of(other))
    assert apps_of(stack.database, user) == [app_of(client)]


@pytest.mark.requirement("muse.app.admin", "muse.keys.communicate")
def test_an_admin_key_acts_in_the_default_app(stack: Stack, admin: httpx.Client, user: str):
    communicate(admin, user, "Hello?")
    assert apps_of(stack.database, user) == ["default"]


@pytest.mark.requirement("muse.app.named")
@pytest.mark.parametrize("place", ["params", "data", "json"])
def test_an_admin_key_acts_in_the_app_that_is_named(
    stack: Stack, admin: httpx.Client, user: str, make_app: MakeApp, place: str
):
    name = app_of(make_app())
    response = admin.post("/communicate", **{place: {"prompt": "Hello?", "user_id": user, "app_id": name}})
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: Hello?"
    assert apps_of(stack.database, user) == [name]


@pytest.mark.requirement("muse.app.named")
@pytest.mark.parametrize("name", ["nobody", "x" * 5000, "ü"])
def test_an_app_that_nobody_made_is_not_found(admin: httpx.Client, user: str, name: str):
    response = admin.post("/communicate", params={"prompt": "Hello?", "user_id": user, "app_id": name})
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.requirement("muse.communicate.json", "muse.communicate.form")
@pytest.mark.parametrize("place", ["data", "json", "files"])
@PATHS
def test_long_prompts_are_taken_from_the_body(client: httpx.Client, user: str, place: str, path: str):
    fields: dict[str, Any] = {"prompt": "amber " * 20_000, "user_id": user}
    if place == "files":  # multipart
        fields = {name: (None, value) for name, value in fields.items()}
    frames = said(parse_sse(client.post(path, **{place: fields}).text))
    end = end_of(frames)
    # 20,000 tokens are more than a new user has: the prompt came whole to where they are counted.
    assert (end["event"], end["code"]) == ("error", "provider_quota_exceeded")


@pytest.mark.requirement("muse.communicate.json", "muse.communicate.form")
@pytest.mark.parametrize("place", ["data", "json"])
def test_what_the_query_says_wins_over_the_body(stack: Stack, client: httpx.Client, user: str, place: str):
    body = {place: {"prompt": "No.", "user_id": "nobody"}}
    response = client.post("/communicate", params={"prompt": "Yes?", "user_id": user}, **body)
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: Yes?"


@pytest.mark.requirement("muse.communicate.json")
def test_prompt_and_user_may_stand_in_different_places_and_be_numbers(client: httpx.Client, user: str):
    response = client.post("/communicate", params={"user_id": user}, json={"prompt": 42})
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: 42"
    response = client.post("/communicate", json={"prompt": "Hello?", "user_id": int(user[-6:], 16)})
    assert text_of(said(parse_sse(response.text))) == "Demo answer to: Hello?"


@pytest.mark.requirement("muse.communicate.one-end", "muse.communicate.frames")
def test_a_provider_that_fails_ends_the_stream_with_an_error(stack: Stack, user: str, make_app: MakeApp):
    url = stack.start_gateway("broken", HELICON_DEFAULT_MODEL="demo-cut:3+tokens:9")
    frames = communicate(make_app(url), user, "Hello?")
    assert len(text_of(frames).split()) == 3
    end = end_of(frames)
    assert (end["event"], end["status"], end["code"]) == ("error", 400, "completion_request_error")


@pytest.mark.requirement("muse.command.plain")
def test_a_chat_on_v1_and_a_prompt_may_run_at_once(user: str, make_app: MakeApp):
    client = make_app(model="demo-slow:20+tokens:30")
    with chatting(client, user) as frames_of:
        first_said(frames_of)
        assert answer(client, user, "/help") == HELP["en"]
        assert end_of(said(frames_of))["event"] == "message_end"
