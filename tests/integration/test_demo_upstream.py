"""The demo upstream as a process, over real HTTP: each protocol, each fault, and what it notes."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rs_bpe.bpe import openai

ROOT = Path(__file__).parents[2]
O200K = openai.o200k_base()
QUESTION = [{"role": "user", "content": "Where is Bern?"}]
ANSWER = "Demo answer to: Where is Bern?"
PROMPT_TOKENS = 3 + O200K.count("user") + O200K.count("Where is Bern?") + 3
ANSWER_TOKENS = O200K.count(ANSWER)
OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"
PATHS = pytest.mark.parametrize("path", [OPENAI, ANTHROPIC])


@contextmanager
def demo_upstream(stderr=None):
    command = [sys.executable, "-m", "services.demo", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield process, process.stdout.readline().removeprefix("demo upstream listening on ").strip()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server():
    with demo_upstream() as (_, url):
        yield url


@pytest.fixture
def client(server):
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=server, timeout=10, trust_env=False, limits=limits) as client:
        client.delete("/_requests").raise_for_status()
        yield client


def body(model, *, stream=False, messages=QUESTION, **more):
    return {"model": model, "messages": messages, "stream": stream, "max_tokens": 5000, **more}


def post(client, path, model, *, key=None, **more):
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.post(path, json=body(model, **more), headers=headers)


def chat(client, model, **more):
    """A whole answer in OpenAI's protocol."""
    return post(client, OPENAI, model, **more).raise_for_status().json()


def chunks(client, model, **more):
    """The data of a stream in OpenAI's protocol, which must end with [DONE]."""
    lines = post(client, OPENAI, model, stream=True, **more).raise_for_status().text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def events(client, model, **more):
    """The events of a stream in Anthropic's protocol."""
    found = []
    for block in post(client, ANTHROPIC, model, stream=True, **more).raise_for_status().text.split("\n\n")[:-1]:
        event, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert event == f"event: {found[-1]['type']}"
    return found


def contents(found):
    deltas = [choice["delta"] for chunk in found for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def asked(client):
    return client.get("/_requests").raise_for_status().json()


def last_asked(client, condition, within=5.0):
    """The last call's row, as soon as it meets the condition."""
    deadline = time.monotonic() + within
    while not condition(row := asked(client)[-1]):
        assert time.monotonic() < deadline, row
    return row


def read_some(response, number):
    """The texts of the first tokens of a stream in OpenAI's protocol."""
    texts, lines = [], response.iter_lines()
    while len(texts) < number:
        line = next(lines)
        if line.startswith("data: {"):
            texts.extend(contents([json.loads(line.removeprefix("data: "))]))
    return texts


def test_it_says_what_it_is(client):
    assert client.get("/").text.startswith("Helicon's demo upstream")


def test_models_are_listed(client):
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert listed["data"][0] == {"id": "demo", "object": "model", "created": 0, "owned_by": "helicon-demo"}


def test_a_chat_is_answered_in_one_piece(client):
    answer = chat(client, "demo", max_tokens=None)
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": ANSWER_TOKENS,
        "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
    }


def test_a_chat_streams_role_text_reason_and_usage(client):
    found = chunks(client, "demo", stream_options={"include_usage": True})
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(contents(found)) == ANSWER
    assert len(contents(found)) == ANSWER_TOKENS
    assert found[-2]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert (found[-1]["choices"], found[-1]["usage"]["completion_tokens"]) == ([], ANSWER_TOKENS)
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}


def test_usage_is_streamed_only_where_it_is_asked_for(client):
    assert all("usage" not in chunk for chunk in chunks(client, "demo"))


def test_a_message_is_answered_in_one_piece(client):
    answer = post(client, ANTHROPIC, "demo", system="Be kind.").json()
    assert answer.pop("id").startswith("msg_demo_")
    system = 3 + O200K.count("system") + O200K.count("Be kind.")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": "demo",
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": PROMPT_TOKENS + system, "output_tokens": ANSWER_TOKENS},
    }


def test_a_message_streams_its_events_in_order(client):
    found = events(client, "demo")
    assert [event["type"] for event in found] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * ANSWER_TOKENS,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"]["usage"] == {"input_tokens": PROMPT_TOKENS, "output_tokens": 0}
    assert "".join(event["delta"]["text"] for event in found[3:-3]) == ANSWER
    assert found[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": ANSWER_TOKENS},
    }


def test_contents_in_parts_are_read_as_their_text(client):
    parts = [{"type": "text", "text": "Where is "}, {"type": "text", "text": "Bern?"}]
    messages = [{"role": "user", "content": parts}]
    assert chat(client, "demo", messages=messages)["choices"][0]["message"]["content"] == ANSWER
    assert post(client, ANTHROPIC, "demo", messages=messages).json()["content"][0]["text"] == ANSWER


def test_the_limit_and_stop_words_end_answers(client):
    limited = chat(client, "demo-tokens:50", max_completion_tokens=7)
    assert (limited["choices"][0]["finish_reason"], limited["usage"]["completion_tokens"]) == ("length", 7)
    stopped = chat(client, "demo", stop=" to:")["choices"][0]
    assert (stopped["finish_reason"], stopped["message"]["content"]) == ("stop", "Demo answer")
    assert post(client, ANTHROPIC, "demo", max_tokens=3).json()["stop_reason"] == "max_tokens"
    stopped = post(client, ANTHROPIC, "demo", stop_sequences=[" to:"]).json()
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", " to:")


def test_each_prefix_of_a_stream_of_tokens_counts_as_many_as_were_sent(client):
    texts = contents(chunks(client, "demo-tokens:120"))
    assert [O200K.count("".join(texts[:number])) for number in range(121)] == list(range(121))
    assert asked(client)[-1]["tokens_sent"] == 120


def test_a_tool_is_called_and_its_result_quoted(client):
    model = 'demo-tool:add:{"a": 1, "b": "x+y:z"}'
    found = chunks(client, model)
    opening, *rest = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in found[1:-1]]
    assert opening["id"].startswith("call_demo_")
    assert (opening["type"], opening["function"]) == ("function", {"name": "add", "arguments": ""})
    assert len(rest) > 1
    assert "".join(piece["function"]["arguments"] for piece in rest) == '{"a": 1, "b": "x+y:z"}'
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"
    call = chat(client, model)["choices"][0]["message"]
    assert (call["content"], call["tool_calls"][0]["function"]["name"]) == (None, "add")
    turns = [*QUESTION, call, {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "42"}]
    end = chat(client, model, messages=turns)["choices"][0]["message"]["content"]
    assert end == "Demo answer from the tool's result: 42"


def test_a_tool_is_used_in_messages_and_its_result_quoted(client):
    model = 'demo-tool:add:{"a": 1}'
    found = events(client, model)
    deltas = [event["delta"] for event in found if event["type"] == "content_block_delta"]
    assert found[2]["content_block"].pop("id").startswith("toolu_demo_")
    assert found[2]["content_block"] == {"type": "tool_use", "name": "add", "input": {}}
    assert "".join(delta["partial_json"] for delta in deltas) == '{"a": 1}'
    assert [event["type"] for event in found[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    use = post(client, ANTHROPIC, model).json()["content"][0]
    assert use["input"] == {"a": 1}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": "42"}]}
    turns = [*QUESTION, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    end = post(client, ANTHROPIC, model, messages=turns).json()["content"][0]["text"]
    assert end == "Demo answer from the tool's result: 42"


@pytest.mark.parametrize(
    ("key", "model", "status", "code", "kind"),
    [
        ("wrong", "demo", 401, "invalid_api_key", "authentication_error"),
        ("forbidden", "demo", 403, "permission_denied", "permission_error"),
        ("good", "gpt-4o", 404, "model_not_found", "not_found_error"),
        ("good", "demo-nonsense", 404, "model_not_found", "not_found_error"),
    ],
)
def test_wrong_keys_and_unknown_models_are_refused(client, key, model, status, code, kind):
    refused = post(client, OPENAI, model, key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    refused = post(client, ANTHROPIC, model, key=key)
    assert (refused.status_code, refused.json()["type"]) == (status, "error")
    assert refused.json()["error"]["type"] == kind
    row = asked(client)[-1]
    assert (row["status"], row["finished"], row["closed_by"]) == (status, False, "server")


def test_a_wrong_key_gets_no_list_of_models(client):
    assert client.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_the_key_is_read_from_either_header_and_shown_masked(client):
    client.post(ANTHROPIC, json=body("demo"), headers={"x-api-key": "sk-ant-123456789"})
    post(client, OPENAI, "demo", key="sk-987654321")
    post(client, OPENAI, "demo")
    assert [row["key"] for row in asked(client)] == ["sk-***6789", "sk-***4321", None]


@PATHS
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"model": "demo", "max_tokens": 5}',
        b'{"model": "demo", "max_tokens": 5, "messages": []}',
        b'{"model": "demo", "max_tokens": 5, "messages": "hi"}',
        b'{"model": 5, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "demo", "max_tokens": 5, "messages": [{"role": "king", "content": "hi"}]}',
        b'{"model": "demo", "max_tokens": 0, "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "demo", "max_tokens": "5", "messages": [{"role": "user", "content": "hi"}]}',
    ],
)
def test_a_body_that_is_not_understood_is_refused(client, path, raw):
    refused = client.post(path, content=raw)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert refused.json()["error"]["message"]


def test_messages_want_a_limit(client):
    refused = client.post(ANTHROPIC, json={"model": "demo", "messages": QUESTION})
    assert (refused.status_code, "max_tokens" in refused.json()["error"]["message"]) == (400, True)


def test_a_context_that_is_too_long_is_refused(client):
    def messages(words):
        return [{"role": "user", "content": " stone" * words}]

    overhead = PROMPT_TOKENS - O200K.count("Where is Bern?")
    assert chat(client, "demo", messages=messages(32_768 - overhead))["usage"]["prompt_tokens"] == 32_768
    refused = post(client, OPENAI, "demo", messages=messages(32_769 - overhead))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert post(client, ANTHROPIC, "demo", messages=messages(40_000)).status_code == 400


@PATHS
def test_a_body_that_is_too_large_is_refused(client, path):
    refused = client.post(path, content=b" " * (16 * 1024 * 1024 + 1))
    assert (refused.status_code, "error" in refused.json()) == (413, True)


def test_unknown_paths_are_refused_in_words(client):
    refused = client.post("/v1/nothing", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_url")


def test_the_first_calls_are_refused_as_too_many(client):
    statuses = [post(client, OPENAI, "demo-429:2", key="a").status_code for _ in range(3)]
    assert [*statuses, post(client, OPENAI, "demo-429:2", key="b").status_code] == [429, 429, 200, 429]
    client.delete("/_requests")
    refused = post(client, OPENAI, "demo-429:2", key="a")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "Retry-After" not in refused.headers


def test_a_refusal_says_when_to_come_back_if_the_name_wants_it(client):
    assert post(client, OPENAI, "demo-429:1+retry-after:2").headers["Retry-After"] == "2"
    assert post(client, ANTHROPIC, "demo-500:1+retry-after:0.05").headers["Retry-After"] == "0.05"


def test_the_first_calls_fail(client):
    assert [post(client, OPENAI, "demo-500:1").status_code for _ in range(2)] == [500, 200]
    overloaded = post(client, ANTHROPIC, "demo-500:1", key="other")
    assert (overloaded.status_code, overloaded.json()["error"]["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize("number", [0, 1, 40])
def test_a_cut_closes_the_connection_after_exactly_as_many_tokens(client, number):
    model, texts = f"demo-tokens:100+cut:{number}", []
    with client.stream("POST", OPENAI, json=body(model, stream=True)) as response:  # noqa: SIM117 - what raises is inside
        with pytest.raises(httpx.RemoteProtocolError, match="closed connection without"):
            texts.extend(line for line in response.iter_lines() if '"content":" ' in line)
    assert len(texts) == number
    row = asked(client)[-1]
    assert (row["tokens_sent"], row["finished"], row["closed_by"]) == (number, False, "server")


@PATHS
def test_a_cut_closes_an_answer_in_one_piece_in_its_middle(client, path):
    with pytest.raises(httpx.RemoteProtocolError, match="closed connection without"):
        post(client, path, "demo-cut:3")
    assert asked(client)[-1]["closed_by"] == "server"


@PATHS
def test_a_cut_beyond_the_end_comes_at_the_end(client, path):
    with pytest.raises(httpx.RemoteProtocolError, match="closed connection without"):
        post(client, path, "demo-cut:500", stream=True)
    assert asked(client)[-1]["tokens_sent"] == ANSWER_TOKENS


@PATHS
def test_a_hang_says_nothing_more_until_the_client_goes(client, path):
    with pytest.raises(httpx.ReadTimeout):
        client.post(path, json=body("demo-tokens:50+hang:5", stream=True), timeout=0.2)
    row = last_asked(client, lambda row: row["closed_by"] is not None)
    assert (row["tokens_sent"], row["finished"], row["closed_by"]) == (5, False, "client")


def test_a_hang_holds_an_answer_in_one_piece_back(client):
    with pytest.raises(httpx.ReadTimeout):
        client.post(OPENAI, json=body("demo-hang:5"), timeout=0.2)
    assert last_asked(client, lambda row: row["closed_by"] is not None)["closed_by"] == "client"


def test_of_a_cut_and_a_hang_the_earlier_comes(client):
    with pytest.raises(httpx.RemoteProtocolError):
        post(client, OPENAI, "demo-tokens:9+cut:3+hang:5", stream=True)
    with pytest.raises(httpx.ReadTimeout):
        client.post(OPENAI, json=body("demo-tokens:9+cut:5+hang:3", stream=True), timeout=0.2)


@pytest.mark.parametrize("model", ["demo-slow:60000+tokens:3", "demo-slow-first:60", "demo-tokens:9+hang:1"])
def test_a_client_that_goes_away_is_noticed_at_once(client, model):
    with client.stream("POST", OPENAI, json=body(model, stream=True)):
        row = last_asked(client, lambda row: row["status"] == 200)
        assert (row["closed_by"], row["closed_at"]) == (None, None)
        left_at = time.time()
    row = last_asked(client, lambda row: row["closed_by"] is not None)
    assert (row["closed_by"], row["finished"]) == ("client", False)
    assert row["closed_at"] - left_at < 2  # what stopping a run allows


def test_a_client_that_goes_away_from_a_fast_stream_is_noticed(client):
    with client.stream("POST", OPENAI, json=body("demo-tokens:9999999", stream=True, max_tokens=300_000)) as response:
        read_some(response, 10)
    row = last_asked(client, lambda row: row["closed_by"] is not None)
    assert (row["closed_by"], row["finished"]) == ("client", False)
    assert 10 <= row["tokens_sent"] < 300_000


def test_clients_that_go_away_are_no_errors_in_the_log():
    with (
        demo_upstream(subprocess.PIPE) as (process, url),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        for model in ["demo-tokens:9999999", "demo-slow:1+tokens:5000", "demo-tokens:20+hang:10"] * 5:
            with client.stream("POST", OPENAI, json=body(model, stream=True, max_tokens=300_000)) as response:
                read_some(response, 10)
            last_asked(client, lambda row: row["closed_by"] == "client")
        process.terminate()
        assert process.communicate(timeout=5) == ("", "")


@pytest.mark.parametrize("number", [0, 4, 50])
def test_a_malformed_line_stands_after_as_many_tokens_and_the_rest_follows(client, number):
    lines = post(client, OPENAI, f"demo-tokens:10+malformed:{number}", stream=True).text.split("\n\n")
    broken = [index for index, line in enumerate(lines) if line.endswith('"content":')]
    assert broken == [1 + min(number, 10)]
    assert (len(lines), lines[-2]) == (1 + 10 + 1 + 1 + 1 + 1, "data: [DONE]")


@PATHS
def test_a_malformed_answer_in_one_piece_is_no_json(client, path):
    with pytest.raises(json.JSONDecodeError):
        post(client, path, "demo-malformed:2").json()


def test_usage_is_never_sent_where_the_name_forbids_it(client):
    found = chunks(client, "demo-nousage", stream_options={"include_usage": True})
    assert all("usage" not in chunk for chunk in found)
    assert "usage" not in chat(client, "demo-nousage")
    assert '"usage"' not in json.dumps(events(client, "demo-nousage"))
    assert "usage" not in post(client, ANTHROPIC, "demo-nousage").json()


def test_an_empty_answer_has_no_text_and_a_proper_end(client):
    found = chunks(client, "demo-empty", stream_options={"include_usage": True})
    assert (contents(found), found[-1]["usage"]["completion_tokens"]) == ([], 0)
    assert chat(client, "demo-empty")["choices"][0]["message"]["content"] == ""
    kinds = [event["type"] for event in events(client, "demo-empty")]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]
    assert post(client, ANTHROPIC, "demo-empty").json()["content"] == []
    assert all(row["finished"] for row in asked(client))


def test_a_slow_first_token_comes_after_the_headers(client):
    with client.stream("POST", OPENAI, json=body("demo-slow-first:0.3", stream=True)) as response:
        begin = time.monotonic()
        read_some(response, 1)
        assert time.monotonic() - begin > 0.2


@pytest.mark.parametrize("stream", [True, False])
def test_slow_tokens_take_their_time(client, stream):
    begin = time.monotonic()
    post(client, OPENAI, "demo-slow:20+tokens:11", stream=stream)
    assert 0.2 <= time.monotonic() - begin < 1


def test_a_hundred_slow_streams_at_once_keep_their_pace(client):
    with ThreadPoolExecutor(100) as pool:
        list(pool.map(lambda _: post(client, OPENAI, "demo-slow:20+tokens:51", stream=True), range(100)))
    took = [row["closed_at"] - row["time"] for row in asked(client)]
    assert len(took) == 100
    assert min(took) > 0.99
    assert sorted(took)[50] < 1.3


def test_what_was_asked_is_listed_in_order(client):
    begin = time.time()
    first = body("demo", user="a")
    client.post(OPENAI, json=first)
    client.post(ANTHROPIC, content=b"{")
    rows = asked(client)
    assert [row["id"] for row in rows] == [rows[0]["id"], rows[0]["id"] + 1]
    times = [rows[0].pop("time"), rows[0].pop("closed_at"), rows[1]["time"]]
    assert times == sorted(times)
    assert begin <= times[0] < begin + 5
    assert rows[0] == {
        "id": rows[0]["id"],
        "protocol": "openai",
        "path": OPENAI,
        "model": "demo",
        "key": None,
        "body": first,
        "status": 200,
        "tokens_sent": ANSWER_TOKENS,
        "prompt_tokens": PROMPT_TOKENS,
        "finished": True,
        "closed_by": "server",
    }
    assert (rows[1]["protocol"], rows[1]["body"], rows[1]["status"]) == ("anthropic", "{", 400)
    client.delete("/_requests")
    assert asked(client) == []


def script(client, *items):
    assert client.post("/_script", json=items).raise_for_status().json() == {"waiting": len(items)}


def test_scripted_answers_come_in_their_order(client):
    script(client, {"text": "one"}, {"text": "two", "usage": {"prompt_tokens": 5, "completion_tokens": 7}})
    assert chat(client, "demo-429:1")["choices"][0]["message"]["content"] == "one"
    two = post(client, ANTHROPIC, "demo").json()
    assert (two["content"][0]["text"], two["usage"]) == ("two", {"input_tokens": 5, "output_tokens": 7})
    assert chat(client, "demo")["choices"][0]["message"]["content"] == ANSWER


def test_a_scripted_answer_can_be_for_one_model_even_of_another_vendor(client):
    script(client, {"text": "hello", "model": "gpt-4o"})
    assert chat(client, "demo")["choices"][0]["message"]["content"] == ANSWER
    assert chat(client, "gpt-4o")["choices"][0]["message"]["content"] == "hello"
    assert post(client, OPENAI, "gpt-4o").status_code == 404


def test_a_scripted_answer_can_have_text_and_several_tool_calls(client):
    calls = [{"name": "add", "arguments": {"a": 1}}, {"name": "no_json", "arguments": "{oops"}]
    item = {"text": "Wait.", "tool_calls": calls}
    script(client, item, item, item, item)
    message = chat(client, "demo")["choices"][0]["message"]
    functions = [{"name": "add", "arguments": '{"a":1}'}, {"name": "no_json", "arguments": "{oops"}]
    assert (message["content"], [call["function"] for call in message["tool_calls"]]) == ("Wait.", functions)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(client, "demo")]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", [])]
    assert {piece["index"] for piece in pieces} == {0, 1}
    assert "".join(piece["function"]["arguments"] for piece in pieces) == '{"a":1}{oops'
    blocks = post(client, ANTHROPIC, "demo").json()["content"]
    assert [block["type"] for block in blocks] == ["text", "tool_use", "tool_use"]
    assert [block["input"] for block in blocks[1:]] == [{"a": 1}, "{oops"]
    found = [(event["type"], event.get("index")) for event in events(client, "demo")]
    edges = [(f"content_block_{edge}", index) for index in range(3) for edge in ("start", "stop")]
    assert [event for event in found if event[0] in ("content_block_start", "content_block_stop")] == edges


def test_a_scripted_answer_can_be_a_refusal(client):
    error = {"message": "teapot", "type": "t", "code": "c"}
    script(client, {"status": 418, "error": error}, {"status": 503}, {"faults": "demo-429:1"})
    refused = [post(client, OPENAI, "demo") for _ in range(3)]
    assert [response.status_code for response in refused] == [418, 503, 429]
    assert refused[0].json() == {"error": error}


def test_a_scripted_answer_can_break_with_an_error_in_mid_stream(client):
    script(client, {"text": "one two", "error": "Overloaded"}, {"text": "one two", "error": "Overloaded"})
    lines = post(client, OPENAI, "demo", stream=True).text.split("\n\n")
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["message"] == "Overloaded"
    end = events(client, "demo")[-1]
    assert end == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def test_a_scripted_answer_has_its_own_faults(client):
    script(client, {"text": "one two three four", "faults": "demo-cut:2"})
    with pytest.raises(httpx.RemoteProtocolError):
        post(client, OPENAI, "demo-slow:5000", stream=True)
    assert asked(client)[-1]["tokens_sent"] == 2


@pytest.mark.parametrize("raw", [b"", b"{}", b'[{"txt": 1}]', b'[{"faults": "demo-x"}]'])
def test_a_script_that_is_not_understood_is_refused(client, raw):
    refused = client.post("/_script", content=raw)
    assert (refused.status_code, bool(refused.json()["error"])) == (400, True)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_while_calls_run(signum):
    hanging = {"method": "POST", "url": OPENAI, "json": body("demo-hang:1", stream=True)}
    with (
        demo_upstream() as (process, url),
        httpx.Client(base_url=url, trust_env=False) as client,
        client.stream(**hanging) as response,
    ):
        read_some(response, 1)
        begin = time.monotonic()
        process.send_signal(signum)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - begin < 2


def test_a_port_that_is_taken_is_said_in_words(server):
    port = server.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "services.demo", "--port", port]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"demo upstream: can't listen on 127.0.0.1:{port}: ")
