"""Which protocol a name of the catalogue (`providers.toml`) means."""

from collections.abc import Callable, Mapping

import httpx

from services.worker.providers.base import ChatProtocol, ChatRequest, Endpoint
from services.worker.providers.chat import anthropic, openai
from services.worker.providers.chat.answer import Answer, StreamedChat
from services.worker.providers.http import Call

CHAT_PROTOCOLS: Mapping[str, tuple[Callable[[Endpoint, ChatRequest], Call], Callable[[Endpoint], Answer]]] = {
    "openai": (openai.make_call, openai.Answer),
    "anthropic": (anthropic.make_call, anthropic.Answer),
}


def chat_protocols(client: httpx.AsyncClient) -> dict[str, ChatProtocol]:
    """Every chat protocol by its name, over one client."""
    return {name: StreamedChat(client, *ends) for name, ends in CHAT_PROTOCOLS.items()}
