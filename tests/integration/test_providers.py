"""Calls to providers over real HTTP: the demo upstream with its faults, and vendors that fail in their own ways."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, aclosing, asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.worker.providers.base import ChatMessage, ChatRequest, Endpoint, TextDelta, Timeouts, UsageReport
from services.worker.providers.errors import ProviderError
from services.worker.providers.http import open_client
from services.worker.providers.providers import open_providers
from services.worker.providers.registry import CHAT_PROTOCOLS, chat_protocols
from services.worker.providers.retry import stream_with_retries
from shared.catalogue.catalogue import load_catalogue
from shared.config import WorkerSettings
from shared.contracts.jobs import ChatJob, Retries, Sampling
from shared.contracts.live import Base, LiveSettings
from shared.contracts.offers import Offers
from shared.domain.errors import ErrorCode, HeliconError

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
PROTOCOLS = pytest.mark.parametrize("protocol", list(CHAT_PROTOCOLS))
TIMEOUTS = Timeouts(connect=5, first_token=10, next_token=10, answer=60)
IMPATIENT = Timeouts(connect=5, first_token=1, next_token=0.5, answer=60)
NONE, QUICK = Retries(times=0), Retries(times=3, interval=0.001)
FAILED = ErrorCode.PROVIDER_FAILED
DONE = b"data: [DONE]\n\n"


# The demo upstream


@pytest.fixture(scope="module")
def demo():
    command = [sys.executable, "-m", "services.demo", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().removeprefix("demo upstream listening on ").strip()
        finally:
            process.kill()


@pytest.fixture
def asked(demo):
    """What the demo upstream was asked in this test."""
    with httpx.Client(base_url=demo, trust_env=False) as client:
        client.delete("/_requests").raise_for_status()
        yield lambda: client.get("/_requests").raise_for_status().json()


def request(model="demo", text="Where is Bern?", **sampling):
    return ChatRequest(model, (ChatMessage("user", text),), 1000, Sampling(**sampling))


def endpoint(url, protocol="openai"):
    return Endpoint("acme", url + ("/v1" if protocol == "openai" else ""), KEY)


async def listen(client, where, what, protocol="openai", retries=QUICK, timeouts=TIMEOUTS):
    """The text, the reports, and how the call failed."""
    texts, reports = [], []
    parts = stream_with_retries(chat_protocols(client)[protocol], where, what, retries, timeouts)
    try:
        async with aclosing(parts):
            async for part in parts:
                (texts if isinstance(part, TextDelta) else reports).append(part)
    except ProviderError as error:
        return "".join(part.text for part in texts), reports, error
    return "".join(part.text for part in texts), reports, None


def ask(where, what, **options):
    async def run():
        async with open_client(TIMEOUTS) as client:
            return await listen(client, where, what, **options)

    return uvloop.run(run())


def ask_demo(demo, protocol, model, **options):
    return ask(endpoint(demo, protocol), request(model), protocol=protocol, **options)


@PROTOCOLS
def test_an_answer_comes_with_what_it_cost(demo, asked, protocol):
    text, reports, error = ask_demo(demo, protocol, "demo")
    assert (text, error) == ("Demo answer to: Where is Bern?", None)
    assert reports == [UsageReport(prompt_tokens=11, completion_tokens=8)]
    assert [(call["protocol"], call["key"], call["finished"]) for call in asked()] == [(protocol, "sk-***6789", True)]


@PROTOCOLS
def test_a_vendor_that_does_not_count_leaves_it_to_us(demo, protocol):
    assert ask_demo(demo, protocol, "demo-nousage") == ("Demo answer to: Where is Bern?", [], None)


@PROTOCOLS
@pytest.mark.parametrize("fault", ["429:2", "500:2"])
def test_refusals_are_tried_again(demo, asked, protocol, fault):
    model = f"demo-{fault}+tokens:{len(protocol)}"  # calls are counted by name
    text, _, error = ask_demo(demo, protocol, model)
    assert (len(text.split()), error) == (len(protocol), None)
    assert [call["status"] == 200 for call in asked()] == [False, False, True]


@PROTOCOLS
@pytest.mark.parametrize(
    ("model", "code", "words", "retryable"),
    [
        ("demo-429", ErrorCode.PROVIDER_RATE_LIMITED, "acme answered 429: Demo rate limit", True),
        ("demo-500", FAILED, "acme answered 5", True),
        ("unknown", ErrorCode.MODEL_UNSUPPORTED, "acme answered 404: The model 'unknown' does not exist", False),
    ],
)
def test_a_refusal_that_stays_is_told(demo, protocol, model, code, words, retryable):
    text, reports, error = ask_demo(demo, protocol, model)
    assert (text, reports, error.code, error.retryable) == ("", [], code, retryable)
    assert error.message.startswith(words)


@PROTOCOLS
def test_a_vendor_that_asks_for_a_long_pause_is_not_asked_again(demo, asked, protocol):
    _, _, error = ask_demo(demo, protocol, "demo-429+retry-after:31")
    assert (error.code, error.retry_after, len(asked())) == (ErrorCode.PROVIDER_RATE_LIMITED, 31.0, 1)


@PROTOCOLS
@pytest.mark.parametrize(
    ("model", "said", "words"),
    [
        ("demo-cut:3", "Demo answer to", "acme broke off: the answer was cut."),
        ("demo-hang:3", "Demo answer to", "acme stopped sending for 0.5 s."),
        ("demo-hang:0", "", "acme did not answer within 1 s."),
        ("demo-slow-first:9", "", "acme did not answer within 1 s."),
        ("demo-slow:900", "Demo", "acme stopped sending for 0.5 s."),
        ("demo-malformed:3", "Demo answer to", "acme sent a malformed answer: an event that is not JSON."),
        ("demo-malformed:0", "", "acme sent a malformed answer: an event that is not JSON."),
        ("demo-empty", "", "acme gave an empty answer."),
    ],
)
def test_a_fault_is_named_and_what_was_said_is_kept(demo, asked, protocol, model, said, words):
    text, reports, error = ask_demo(demo, protocol, model, timeouts=IMPATIENT)
    assert (text, reports, error.code, error.retryable) == (said, [], FAILED, False)
    assert error.message.startswith(words)
    assert len(asked()) == 1


@PROTOCOLS
def test_a_cut_before_the_first_word_is_tried_again(demo, asked, protocol):
    _, _, error = ask_demo(demo, protocol, "demo-cut:0")
    assert (error.message, len(asked())) == ("acme broke off: the answer was cut.", 4)


@PROTOCOLS
def test_an_answer_may_take_no_longer_than_it_may(demo, protocol):
    limits = Timeouts(first_token=5, next_token=5, answer=1)
    text, _, error = ask_demo(demo, protocol, "demo-slow:100+tokens:100", timeouts=limits)
    assert (error.message, 1 <= len(text.split()) <= 11) == ("acme took longer than 1 s.", True)


@PROTOCOLS
@pytest.mark.parametrize(("model", "first"), [("demo-slow:50+tokens:1000", True), ("demo-slow-first:60", False)])
def test_a_cancelled_call_is_closed_at_the_vendor(demo, asked, protocol, model, first):
    async def run():
        async with open_client(TIMEOUTS) as client:
            call = asyncio.ensure_future(listen(client, endpoint(demo, protocol), request(model), protocol))
            await until(lambda: asked() and (asked()[0]["tokens_sent"] > 0 or not first))
            call.cancel()
            began = time.monotonic()
            await asyncio.gather(call, return_exceptions=True)
            took = time.monotonic() - began
            await until(lambda: asked()[0]["closed_by"] == "client", within=2)
            return call.cancelled(), took

    cancelled, took = uvloop.run(run())
    assert (cancelled, took < 0.5, asked()[0]["tokens_sent"] < 100) == (True, True, True)


async def until(condition, within=5.0):
    """Wait for a condition that asks the vendor's side, in a thread, so that our loop goes on."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


def test_sampling_reaches_the_vendor(demo, asked):
    ask(endpoint(demo), request(temperature=0.5, stop=("to",)))
    body = asked()[0]["body"]
    assert (body["temperature"], body["stop"], body["max_tokens"], "top_p" in body) == (0.5, ["to"], 1000, False)


@PROTOCOLS
def test_a_prompt_of_megabytes_is_sent(demo, asked, protocol):
    text = "Bern " * 500_000
    _, _, error = ask(endpoint(demo, protocol), request(text=text), protocol=protocol)
    assert "maximum context length" in error.message
    assert asked()[0]["body"]["messages"][-1]["content"] == text


def job(provider, model):
    return ChatJob(
        provider=provider, model=model, query="Where is Bern?", answer_limit=100, context=1000, history_turns=0
    )


def test_the_providers_of_a_worker_find_protocol_url_and_key(demo, asked):
    live = LiveSettings(base=Base(type="anthropic", anthropic_token=KEY, custom_url=demo))
    offers = Offers(lambda: live, load_catalogue(), {"anthropic": "https://no.test"})

    async def run():
        async with open_providers(WorkerSettings(), offers) as providers:
            parts = providers.chat(job("anthropic", "demo"), request())
            return [part async for part in parts]

    assert uvloop.run(run())[-1] == UsageReport(11, 8)
    assert [(call["protocol"], call["key"]) for call in asked()] == [("anthropic", "sk-***6789")]


def test_a_provider_without_its_key_is_not_called():
    offers = Offers(LiveSettings, load_catalogue(), {"openai": "https://no.test"})

    async def run():
        async with open_providers(WorkerSettings(), offers) as providers:
            providers.chat(job("openai", "gpt-4o"), request())

    with pytest.raises(HeliconError, match="OPENAI_API_KEY") as failed:
        uvloop.run(run())
    assert failed.value.code is ErrorCode.NO_PROVIDER_KEY


# Vendors of our own


class Vendor:
    """Answers each request with the next of the given bytes, written as they are; `None` closes without an answer."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heads = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader, writer):
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode().removesuffix("\r\n\r\n").split("\r\n")
            headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            await reader.readexactly(int(headers.get("content-length", 0)))
            self.heads.append((line, headers))
            answer = self.answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
            if b"chunked" not in answer:
                break


@asynccontextmanager
async def listening(vendor):
    conversations = set()

    async def serve(reader, writer):
        conversations.add(asyncio.current_task())
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await vendor.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield vendor
    finally:
        server.close()
        if conversations:
            await asyncio.wait(conversations, timeout=5)


def ask_vendor(vendor, calls=1, where="{}/v1", **options):
    async def run():
        async with listening(vendor), open_client(TIMEOUTS) as client:
            heard = []
            for _ in range(calls):
                target = Endpoint("acme", where.format(vendor.url), KEY)
                heard.append(await listen(client, target, request(), **{"retries": NONE, **options}))
            return heard

    heard = uvloop.run(run())
    return heard[0] if calls == 1 else heard


def http(body, status="200 OK", *headers, kind="text/event-stream"):
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def kept(body):
    """An answer after which the connection goes on."""
    return http(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), "200 OK", "Transfer-Encoding: chunked")


def data(*chunks):
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def delta(**fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
HI = delta(content="hi")


def usage(prompt, completion, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


@pytest.mark.parametrize(
    ("stream", "text", "reports"),
    [
        (data(delta(role="assistant", content=None), HI, STOP) + DONE, "hi", []),
        (data(HI, STOP), "hi", []),
        (data(HI) + DONE, "hi", []),
        (data({"choices": []}, {}, {"choices": None}, {"choices": [None]}, {"choices": [{}]}, HI) + DONE, "hi", []),
        (data({"x": [1], **HI, "usage": None}, {**STOP, "usage": usage(1, 2)}) + DONE, "hi", [(1, 2)]),
        (data(HI, STOP, {"choices": [], "usage": usage(1, 2)}) + DONE, "hi", [(1, 2)]),
        (data({**HI, "usage": usage(1, 1)}, {**HI, "usage": usage(1, 2)}, STOP) + DONE, "hihi", [(1, 2)]),
        (data(HI, {"choices": [{**STOP["choices"][0], "usage": usage(3, 4)}]}) + DONE, "hi", [(3, 4)]),
        (data(HI, STOP, {"usage": usage(20, 151, total_tokens=553)}) + DONE, "hi", [(20, 533)]),
        (data(HI, STOP, {"usage": usage(-1, 2)}) + DONE, "hi", []),
        (data(HI, STOP, {"usage": usage([], "2")}) + DONE, "hi", []),
        (data(HI, STOP, {"usage": usage(10**30, 1)}) + DONE, "hi", []),
        (data(delta(reasoning_content="hm"), delta(reasoning="hm"), HI) + DONE, "hi", []),
        (b": wait\n\n" + data(HI).replace(b"\n", b"\r\n") + DONE, "hi", []),
        (b"\xef\xbb\xbf" + data(HI) + DONE + data(delta(content="more")), "hi", []),
        (data(delta(content="a\u0000\U0001f600")) + DONE, "a\u0000\U0001f600", []),
    ],
)
def test_the_dialects_of_the_openai_protocol_are_understood(stream, text, reports):
    said = ask_vendor(Vendor(http(stream)))
    assert said == (text, [UsageReport(*counts) for counts in reports], None)


@pytest.mark.parametrize(
    ("stream", "text", "words"),
    [
        (data(HI), "hi", "broke off: the answer was cut."),
        (b"", "", "broke off: the answer was cut."),
        (data(HI)[:-1], "", "broke off: the answer was cut."),
        (data(HI) + b"data: {\n\n", "hi", "sent a malformed answer: an event that is not JSON."),
        (data(HI, [1]), "hi", "sent a malformed answer: an event that is not an object."),
        (data(HI) + b"data: \xff\xfe\n\n", "hi", "sent a malformed answer: an event that is not JSON."),
        (data(HI) + b"data: " + b"[" * 100_000 + b"\n\n", "hi", "sent a malformed answer: an event that is not JSON."),
        (b"data: " + b"x" * 2_000_000, "", "sent a malformed answer: an event of more than 1 MiB."),
        (data(HI, {"error": {"message": f"no {KEY}", "code": 502}}), "hi", "reported an error: no ***"),
        (data({"error": "no"}), "", "reported an error: no"),
        (b"event: error\n" + data({"code": "InternalError", "message": "no"}), "", "reported an error: no"),
        (data({"object": "error", "message": "no", "code": 400}), "", "reported an error: no"),
        (data(STOP) + DONE, "", "gave an empty answer."),
        (data(delta(reasoning_content="hm"), STOP) + DONE, "", "gave an empty answer."),
    ],
)
def test_a_broken_stream_is_named_and_what_was_said_is_kept(stream, text, words):
    said, reports, error = ask_vendor(Vendor(http(stream)))
    assert (said, reports, error.code) == (text, [], FAILED)
    assert error.message.startswith(f"acme {words}")


def claude(*events):
    return b"".join(b"event: %b\n%b" % (event["type"].encode(), data(event)) for event in events)


START = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
CACHED = {"input_tokens": 5, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 20, "output_tokens": 1}
SAY = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
THINK = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
CLOSE = {"type": "message_stop"}


@pytest.mark.parametrize(
    ("events", "report"),
    [
        ([START, SAY, END, CLOSE], (5, 7)),
        ([START, {"type": "ping"}, {"type": "new"}, THINK, SAY, END], (5, 7)),
        ([{"type": "message_start", "message": {"usage": CACHED}}, SAY, END, CLOSE], (35, 7)),
        ([START, SAY, {**END, "usage": {"input_tokens": 6, "output_tokens": 7}}, CLOSE], (6, 7)),
        ([START, SAY, {**END, "usage": {"input_tokens": None, "output_tokens": 7}}, CLOSE], (5, 7)),
        ([{"type": "message_start"}, SAY, {**END, "usage": None}, CLOSE], None),
    ],
)
def test_anthropics_counts_are_put_together(events, report):
    said = ask_vendor(Vendor(http(claude(*events))), where="{}", protocol="anthropic")
    assert said == ("hi", [UsageReport(*report)] if report else [], None)


@pytest.mark.parametrize(
    ("events", "code", "words"),
    [
        ([START, SAY], FAILED, "broke off: the answer was cut."),
        (
            [START, SAY, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}],
            FAILED,
            "reported an error: Overloaded",
        ),
        (
            [{"type": "error", "error": {"type": "rate_limit_error", "message": "no"}}],
            ErrorCode.PROVIDER_RATE_LIMITED,
            "reported an error: no",
        ),
        ([START, END, CLOSE], FAILED, "gave an empty answer."),
    ],
)
def test_anthropics_errors_are_told(events, code, words):
    _, _, error = ask_vendor(Vendor(http(claude(*events))), where="{}", protocol="anthropic")
    assert error.code is code
    assert error.message.startswith(f"acme {words}")


def test_an_overloaded_vendor_is_asked_again_if_it_had_said_nothing():
    overloaded = claude(START, {"type": "error", "error": {"type": "overloaded_error", "message": "no"}})
    vendor = Vendor(http(overloaded), http(claude(START, SAY, END, CLOSE)))
    assert ask_vendor(vendor, where="{}", protocol="anthropic", retries=QUICK) == ("hi", [UsageReport(5, 7)], None)


def test_thinking_is_a_sign_of_life():
    async def think(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b""))
        for chunk in [*[delta(reasoning_content="hm")] * 25, HI, STOP]:
            await asyncio.sleep(0.05)
            writer.write(data(chunk))

    vendor = Vendor()
    vendor.serve = think
    assert ask_vendor(vendor, timeouts=IMPATIENT) == ("hi", [], None)


def test_keep_alives_are_none():
    async def wait(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b""))
        ended = asyncio.ensure_future(reader.read())
        while not ended.done():
            writer.write(b": wait\n\n")
            await asyncio.wait([ended], timeout=0.02)

    vendor = Vendor()
    vendor.serve = wait
    assert ask_vendor(vendor, timeouts=IMPATIENT)[2].message == "acme did not answer within 1 s."


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (http(b'{"error": {"message": "no"}}', "400 Bad Request"), FAILED, "answered 400: no"),
        (http(b"x" * 1_000_000, "500 Oops"), FAILED, "answered 500: xxx"),
        (http(b"<html>", "502 Bad Gateway", kind="text/html"), FAILED, "answered 502."),
        (http(b"", "308 Permanent Redirect", "Location: https://x.test"), FAILED, "answered 308: it has moved"),
        (http(b"{}", kind="application/json"), FAILED, "sent a malformed answer: application/json instead"),
        (http(b"<html>", kind="text/html; charset=utf-8"), FAILED, "sent a malformed answer: text/html instead"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", FAILED, "sent a malformed answer: it is not HTTP."),
        (http(b"not gzip", "200 OK", "Content-Encoding: gzip"), FAILED, "sent a malformed answer: it can't be"),
        (http(b'{"error": "no"}', "401 Unauthorized"), ErrorCode.NO_PROVIDER_KEY, "answered 401: no"),
    ],
)
def test_an_answer_that_is_no_stream_is_told(answer, code, words):
    _, _, error = ask_vendor(Vendor(answer))
    assert error.code is code
    assert error.message.startswith(f"acme {words}")


def test_a_refusals_body_that_never_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("services.worker.providers.http.ERROR_SECONDS", 0.1)
    endless = http(b'{"error"', "401 Unauthorized", "Content-Length: 1000")

    async def hang(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(endless)
        await reader.read()

    vendor = Vendor()
    vendor.serve = hang
    assert ask_vendor(vendor)[2].message == 'acme answered 401: {"error"'


def test_a_vendor_that_is_not_there_is_tried_again():
    vendor = Vendor()

    async def run():
        async with listening(vendor):
            pass
        async with open_client(TIMEOUTS) as client:
            began = time.monotonic()
            heard = await listen(client, endpoint(vendor.url), request(), retries=Retries(times=2, interval=0.1))
            return heard, time.monotonic() - began

    (_, _, error), took = uvloop.run(run())
    assert (error.message, error.code, error.retryable) == (
        "acme could not be reached: connection refused.",
        FAILED,
        True,
    )
    assert took > 0.2


def test_a_vendor_that_does_not_take_connections_is_not_waited_for():
    impatient = Timeouts(connect=0.2)

    async def run(url):
        async with open_client(impatient) as client:
            return await listen(client, endpoint(url), request(), retries=NONE, timeouts=impatient)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):
            caller = waiting.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(server.getsockname())
        error = uvloop.run(run(f"http://127.0.0.1:{server.getsockname()[1]}"))[2]
    assert (error.message, error.retryable) == ("acme could not be reached: no connection in time.", True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no.such.host.invalid", "could not be reached: its name is not known."),
        ("ftp://acme.test", "can't be called: its URL is not a valid one."),
        ("nonsense", "can't be called: its URL is not a valid one."),
        ("", "can't be called: its URL is not a valid one."),
    ],
)
def test_a_url_that_leads_nowhere_is_told(url, words):
    assert ask(Endpoint("acme", url, ""), request(), retries=NONE)[2].message == f"acme {words}"


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-\u4f60", "sk-\x00"])
def test_a_key_that_can_not_be_sent_is_told_and_not_shown(key):
    error = ask(Endpoint("acme", "http://127.0.0.1:9", key), request())[2]
    words = "The key of acme holds characters that no key has: enter it anew."
    assert (error.code, error.message) == (ErrorCode.NO_PROVIDER_KEY, words)


def test_connections_are_kept_for_the_next_call():
    vendor = Vendor(*[kept(data(HI, STOP) + DONE)] * 3)
    assert ask_vendor(vendor, calls=3) == [("hi", [], None)] * 3
    assert vendor.connections == 1


def test_a_call_that_races_an_idle_close_is_tried_once_more_at_once():
    vendor = Vendor(kept(data(HI, STOP) + DONE), None, kept(data(HI, STOP) + DONE))
    assert ask_vendor(vendor, calls=2) == [("hi", [], None)] * 2
    assert (len(vendor.heads), vendor.connections) == (3, 2)


def test_a_vendor_that_always_closes_is_not_asked_for_ever():
    vendor = Vendor(*[None] * 9)
    error = ask_vendor(vendor, retries=QUICK)[2]
    assert (error.message, len(vendor.heads)) == ("acme closed the connection before it answered.", 2)


def test_cookies_are_not_kept_and_nothing_is_told_of_what_we_are_made_of():
    answer = http(data(HI, STOP) + DONE, "200 OK", "Set-Cookie: a=b")
    vendor = Vendor(answer, answer)
    ask_vendor(vendor, calls=2)
    line, headers = vendor.heads[1]
    host = headers.pop("host")
    assert (line, f"http://{host}") == ("POST /v1/chat/completions HTTP/1.1", vendor.url)
    assert headers == {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "connection": "keep-alive",
        "content-length": headers["content-length"],
        "content-type": "application/json",
        "user-agent": "Helicon",
    }


def test_calls_go_through_the_proxy():
    proxy = Vendor(http(data(HI, STOP) + DONE))
    away = Endpoint("acme", "http://acme.test/v1", KEY)

    async def run():
        async with listening(proxy), open_client(TIMEOUTS, lambda: proxy.url.replace("//", "//user:word@")) as client:
            return await listen(client, away, request(), retries=NONE)

    assert uvloop.run(run()) == ("hi", [], None)
    line, headers = proxy.heads[0]
    assert (line, headers["host"]) == ("POST http://acme.test/v1/chat/completions HTTP/1.1", "acme.test")
    assert headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


def test_a_proxy_that_refuses_is_told_and_gets_no_key():
    proxy = Vendor(http(b"", "407 Proxy Authentication Required"))
    away = Endpoint("acme", "https://acme.test/v1", KEY)

    async def run():
        async with listening(proxy), open_client(TIMEOUTS, lambda: proxy.url.replace("//", "//user:word@")) as client:
            return await listen(client, away, request(), retries=NONE)

    error = uvloop.run(run())[2]
    assert (error.message, error.retryable) == ("acme could not be reached: the proxy answered 407.", False)
    line, headers = proxy.heads[0]
    assert (line, headers["proxy-authorization"]) == ("CONNECT acme.test:443 HTTP/1.1", "Basic dXNlcjp3b3Jk")
    assert "authorization" not in headers


def test_a_proxy_that_is_not_there_is_told():
    async def run():
        async with open_client(TIMEOUTS, lambda: "http://127.0.0.1:9") as client:
            return await listen(client, Endpoint("acme", "https://acme.test/v1", KEY), request(), retries=NONE)

    assert uvloop.run(run())[2].message == "acme could not be reached: the proxy does not answer."


# TLS


@pytest.fixture
def tls(tmp_path, monkeypatch):
    """A certificate for this machine that clients trust; the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    bundle, trusted = tmp_path / "server.pem", tmp_path / "trusted.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    bundle.write_bytes(private + trusted.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    return context


def only_write(server, context, closed):
    """A vendor that writes and never reads: it sees only that the connection is gone."""
    connection, _ = server.accept()
    with context.wrap_socket(connection, server_side=True) as stream:
        stream.recv(65_536)
        stream.sendall(http(b""))
        try:
            while not closed.wait(0.02):
                stream.sendall(data(HI))
        except OSError:
            closed.set()


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_cancelled_call_over_tls_is_gone_for_a_vendor_that_only_writes(tls, new_loop):
    closed = threading.Event()

    async def run(port):
        async with open_client(TIMEOUTS) as client:
            call = asyncio.ensure_future(listen(client, endpoint(f"https://localhost:{port}"), request()))
            await asyncio.wait([call], timeout=0.5)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            return call.cancelled(), await asyncio.to_thread(closed.wait, 2)

    with asyncio.Runner(loop_factory=new_loop) as runner, socket.create_server(("127.0.0.1", 0)) as server:
        vendor = threading.Thread(target=only_write, args=(server, tls, closed))
        vendor.start()
        assert runner.run(run(server.getsockname()[1])) == (True, True)
        vendor.join()
