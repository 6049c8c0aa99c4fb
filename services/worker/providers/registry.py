"""Which protocol a name of the catalogue (`providers.toml`) means."""

from collections.abc import Callable, Mapping

import httpx

from services.worker.providers.base import ChatProtocol
from services.worker.providers.chat.anthropic import AnthropicChat
from services.worker.providers.chat.openai import OpenAIChat

CHAT_PROTOCOLS: Mapping[str, Callable[[httpx.AsyncClient], ChatProtocol]] = {
    "openai": OpenAIChat,
    "anthropic": AnthropicChat,
}


def chat_protocols(client: httpx.AsyncClient) -> dict[str, ChatProtocol]:
    """Every chat protocol by its name, over one client."""
    return {name: make(client) for name, make in CHAT_PROTOCOLS.items()}
