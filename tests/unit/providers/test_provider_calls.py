"""What is sent to the vendors."""

from services.worker.providers.base import ChatMessage, ChatRequest, Endpoint
from services.worker.providers.chat import anthropic, openai
from services.worker.providers.http import Call
from services.worker.providers.registry import CHAT_PROTOCOLS
from shared.catalogue.catalogue import load_catalogue
from shared.contracts.jobs import Sampling

ENDPOINT = Endpoint("acme", "https://acme.test/v1", "secret")
MESSAGES = (ChatMessage("system", "Be kind."), ChatMessage("user", "Hi"), ChatMessage("assistant", "Hello"))
FULL = Sampling(temperature=1.5, top_p=0.5, frequency_penalty=0.0, presence_penalty=-1, stop=("END", "\n"))


def request(sampling, messages=MESSAGES):
    return ChatRequest("m1", messages, 100, sampling)


def test_openai_is_sent_what_is_set():
    assert openai.make_call(ENDPOINT, request(FULL)) == Call(
        "/chat/completions",
        {
            "model": "m1",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 100,
            "temperature": 1.5,
            "top_p": 0.5,
            "frequency_penalty": 0.0,
            "presence_penalty": -1,
            "stop": ["END", "\n"],
        },
        {"Authorization": "Bearer secret"},
    )


def test_openai_is_not_sent_what_is_not_set():
    call = openai.make_call(Endpoint("acme", "https://acme.test", ""), request(Sampling(), ()))
    assert set(call.document) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert call.headers == {}


def test_the_longest_answer_goes_under_the_vendors_name_for_it():
    endpoint = Endpoint("openai", "https://api.openai.com/v1", "k", limit_field="max_completion_tokens")
    document = openai.make_call(endpoint, request(Sampling())).document
    assert (document["max_completion_tokens"], "max_tokens" in document) == (100, False)


def test_anthropic_is_sent_what_its_protocol_has():
    assert anthropic.make_call(Endpoint("acme", "https://acme.test", "secret"), request(FULL)) == Call(
        "/v1/messages",
        {
            "model": "m1",
            "system": "Be kind.",
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
            "max_tokens": 100,
            "stream": True,
            "temperature": 1.0,
            "stop_sequences": ["END"],
        },
        {"anthropic-version": "2023-06-01", "x-api-key": "secret"},
    )


def test_anthropic_is_sent_top_p_where_there_is_no_temperature():
    document = anthropic.make_call(ENDPOINT, request(Sampling(top_p=0.5))).document
    assert (document["top_p"], "temperature" in document) == (0.5, False)


def test_anthropic_is_sent_no_message_without_text():
    messages = (ChatMessage("system", " "), ChatMessage("user", "Hi"), ChatMessage("assistant", "\n"))
    document = anthropic.make_call(ENDPOINT, request(Sampling(), messages)).document
    assert (document["messages"], "system" in document) == ([{"role": "user", "content": "Hi"}], False)


def test_a_base_url_with_a_version_is_not_given_another():
    assert anthropic.make_call(Endpoint("acme", "https://acme.test/v1/", ""), request(Sampling())).path == "/messages"


def test_every_provider_of_the_catalogue_has_its_protocol():
    assert {provider.protocol for provider in load_catalogue().providers.values()} <= set(CHAT_PROTOCOLS)
