"""Which protocol a name of the catalogue (`providers.toml`) means."""

from collections.abc import Callable, Mapping

import httpx

from services.worker.providers.balance import deepseek, openrouter
from services.worker.providers.base import Amount, ChatProtocol, ChatRequest, Endpoint
from services.worker.providers.chat import anthropic, openai
from services.worker.providers.chat.answer import Answer, StreamedChat
from services.worker.providers.documents import Inquiry
from services.worker.providers.http import Call
from services.worker.providers.models import anthropic as anthropic_models
from services.worker.providers.models import openai as openai_models

CHAT_PROTOCOLS: Mapping[str, tuple[Callable[[Endpoint, ChatRequest], Call], Callable[[Endpoint], Answer]]] = {
    "openai": (openai.make_call, openai.Answer),
    "anthropic": (anthropic.make_call, anthropic.Answer),
}

MODELS: Mapping[str, Inquiry[list[str]]] = {
    "openai": Inquiry(openai_models.make_get, openai_models.read),
    "anthropic": Inquiry(anthropic_models.make_get, anthropic_models.read),
}
"""How a vendor is asked for its models, by its protocol for chats."""
BALANCES: Mapping[str, Inquiry[list[Amount]]] = {
    "deepseek": Inquiry(deepseek.make_get, deepseek.read),
    "openrouter": Inquiry(openrouter.make_get, openrouter.read),
}
"""How a vendor is asked for what is left, by the name that the catalogue has for it."""


def chat_protocols(client: httpx.AsyncClient) -> dict[str, ChatProtocol]:
    """Every chat protocol by its name, over one client."""
    return {name: StreamedChat(client, *ends) for name, ends in CHAT_PROTOCOLS.items()}
