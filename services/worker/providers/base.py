"""What the providers' protocols have in common: what they are asked and what they say."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.contracts.jobs import Sampling


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the conversation that a model is shown."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call. `answer_limit` is tokens."""

    model: str
    messages: tuple[ChatMessage, ...]
    answer_limit: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes, and with which key ("": none is sent). `url` is the vendor's base URL without a last slash."""

    provider: str
    url: str
    key: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What the vendor counted. The last report of a call holds."""

    prompt_tokens: int
    completion_tokens: int


ChatPart = TextDelta | UsageReport


class ChatProtocol(Protocol):
    """A wire protocol for chats."""

    def stream(self, endpoint: Endpoint, request: ChatRequest) -> AsyncIterator[ChatPart]:
        """Ask and yield what comes, until the vendor says that the answer is whole.

        Raises:
            ProviderError: the call failed, or broke off before the answer was whole.
        """
        ...
