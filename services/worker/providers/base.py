"""What the providers' protocols have in common: what they are asked and what they say."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from decimal import Decimal
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


DEFAULT_LIMIT_FIELD = "max_tokens"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes, and with which key ("": none is sent). `url` is the vendor's base URL without a last slash.

    `limit_field` is what the vendor calls the longest answer in the OpenAI protocol: OpenAI's own newer models refuse
    `max_tokens`, most others know nothing else.
    """

    provider: str
    url: str
    key: str
    limit_field: str = DEFAULT_LIMIT_FIELD


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a call may take, seconds: to connect, to the first token, between two tokens, and in all."""

    connect: float = 10
    first_token: float = 60
    next_token: float = 60
    answer: float = 900


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


@dataclass(frozen=True, slots=True)
class Amount:
    """Money."""

    amount: Decimal
    currency: str


class ChatProtocol(Protocol):
    """A wire protocol for chats."""

    def stream(self, endpoint: Endpoint, request: ChatRequest) -> AsyncGenerator[Sequence[ChatPart]]:
        """Ask and yield what comes, one sequence per read, until the vendor says that the answer is whole.

        An empty sequence is a sign of life: the model works (thinks) but has said nothing. Keep-alives are none.

        Raises:
            ProviderError: the call failed, broke off before the answer was whole, or the whole answer is empty.
        """
        ...
