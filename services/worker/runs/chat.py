"""A chat: a conversation's earlier turns and a question to a model, its answer said as it comes."""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.worker.events.voice import Voice
from services.worker.providers.base import ChatMessage, ChatPart, ChatRequest, TextDelta, UsageReport
from services.worker.providers.errors import ProviderError
from services.worker.providers.tokens import count_prompt, count_tokens
from shared.contracts.events import Usage
from shared.contracts.jobs import ChatJob
from shared.domain.context import fit_turns
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.ledger import PRICE_UNIT, price_of
from shared.store.engine import Database
from shared.store.runs.claim import ClaimedRun
from shared.store.runs.settle import NOTHING, Made
from shared.store.users import read_balance

Ask = Callable[[ChatJob, ChatRequest], AsyncGenerator[ChatPart]]
"""Begins a call to a job's provider."""

Hear = Callable[[Coroutine[Any, Any, None]], None]
"""Does a coroutine on the loop, to its end or until the run is interrupted."""

MOST_CHARACTERS = 128
"""Characters of a token at most: what a vendor sends beyond the limit that it was given is not kept without end."""
TURN_OVERHEAD = 8
"""Tokens that showing a turn costs beside its texts."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat that is ready to be asked; `prompt_tokens` as our tokenizer counts them.

    An answer's limit below 1 means that what is reserved does not even pay for the question.
    """

    job: ChatJob
    request: ChatRequest
    prompt_tokens: int


def prepare_call(claimed: ClaimedRun, job: ChatJob) -> ChatCall:
    """The call of a chat: as many earlier turns as fit, and an answer no longer than what is reserved.

    Args:
        claimed: the run; its `reserved` tokens are what the call may cost.
        job: what is asked.

    Raises:
        HeliconError: INVALID_PARAM, the question does not fit into the model's context.
    """
    system = [ChatMessage("system", job.system_prompt)] if job.system_prompt else []
    asked = [*system, ChatMessage("user", job.query)]
    room = job.context - job.answer_limit - count_prompt(asked)
    if room < 0:
        raise HeliconError.invalid(
            f"query: the question does not fit into the context of {job.model}: {job.context} tokens, "
            f"{job.answer_limit} of them for the answer"
        )
    history = [
        message
        for turn in fit_turns(claimed.turns, room)
        for message in (ChatMessage("user", turn.query), ChatMessage("assistant", turn.answer))
        if message.content
    ]
    messages = (*system, *history, ChatMessage("user", job.query))
    prompt_tokens = count_prompt(messages)
    affordable = job.answer_limit if claimed.reserved is None else claimed.reserved - prompt_tokens
    limit = min(job.answer_limit, affordable)
    return ChatCall(job, ChatRequest(job.model, messages, limit, job.sampling), prompt_tokens)


class ChatAnswer:
    """An answer while it is made. Whatever ends it, what was made is here, and so is what it costs.

    Args:
        call: what is asked.
        say: takes each piece of the answer.
    """

    def __init__(self, call: ChatCall, say: Callable[[str], None]) -> None:
        self._call = call
        self._say = say
        self._pieces: list[str] = []
        self._length = 0
        self._report: UsageReport | None = None
        self._began = time.monotonic()
        self._first_token: float | None = None

    async def receive(self, parts: AsyncGenerator[ChatPart]) -> None:
        """Take the answer from a provider, to its end.

        Raises:
            ProviderError: the call failed, or broke off.
        """
        async with aclosing(parts):
            async for part in parts:
                match part:
                    case TextDelta(text):
                        self.take(text)
                    case UsageReport():
                        self._report = part

    def made(self) -> Made:
        """The answer so far and its cost: as the provider counted, else as our tokenizer does; none for nothing."""
        job = self._call.job
        answer = "".join(self._pieces)
        usage = self._usage(answer)
        shown_again = count_tokens(job.query) + count_tokens(answer) + TURN_OVERHEAD if answer else 0
        return Made(answer, usage, shown_again, job.provider, job.model, _price(usage))

    def take(self, text: str) -> None:
        """Take a piece of the answer."""
        if self._first_token is None:
            self._first_token = time.monotonic()
        text = text.replace("\0", "")  # which Postgres can't keep
        self._length += len(text)
        if self._length > self._call.request.answer_limit * MOST_CHARACTERS:
            raise ProviderError(
                ErrorCode.PROVIDER_FAILED, f"{self._call.job.provider} sends more than it was asked for."
            )
        self.put(text)
        self._say(text)

    def put(self, text: str) -> None:
        """Add what was said already."""
        self._pieces.append(text)

    def _usage(self, answer: str) -> Usage:
        job = self._call.job
        ended = time.monotonic()
        first = self._first_token or ended
        prompt_tokens, completion_tokens, estimated = self._count(answer)
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            prompt_unit_price=job.prompt_price,
            completion_unit_price=job.completion_price,
            price_unit=str(PRICE_UNIT),
            currency=job.currency,
            latency=round(ended - self._began, 3),
            time_to_first_token=round(first - self._began, 3),
            time_to_generate=round(ended - first, 3),
            estimated=estimated,
        )

    def _count(self, answer: str) -> tuple[int, int, bool]:
        if self._report is not None:
            return self._report.prompt_tokens, self._report.completion_tokens, False
        if not answer:
            return 0, 0, False
        return self._call.prompt_tokens, count_tokens(answer), True


class ChatWork:
    """A chat, as the lifecycle runs it (`services.worker.runs.work.Work`).

    Args:
        claimed: the run.
        job: what it has to do.
        hear: does what is asynchronous, on the loop.
        voice: says the answer.
        database: knows what the user has left.
        ask: begins a call to the job's provider.
    """

    def __init__(
        self,
        claimed: ClaimedRun,
        job: ChatJob,
        hear: Hear,
        voice: Voice,
        database: Database,
        ask: Ask,
    ) -> None:
        self._claimed = claimed
        self._job = job
        self._hear = hear
        self._voice = voice
        self._database = database
        self._ask = ask
        self._answer: ChatAnswer | None = None

    def do(self) -> None:
        """Ask, and say the answer as it comes."""
        call = prepare_call(self._claimed, self._job)
        if call.request.answer_limit < 1:
            raise self._too_expensive(call)
        answer = self._answer = ChatAnswer(call, self._voice.text)
        self._hear(answer.receive(self._ask(self._job, call.request)))

    def made(self) -> Made:
        """The answer so far."""
        return self._answer.made() if self._answer is not None else NOTHING

    def _too_expensive(self, call: ChatCall) -> HeliconError:
        with self._database.read() as session:
            granted, available = read_balance(session, self._claimed.id)
        left = available + (self._claimed.reserved or 0)
        return HeliconError(
            ErrorCode.QUOTA_EXCEEDED,
            f"This question takes {call.prompt_tokens} tokens before its answer: {granted - left} used, {left} left, "
            f"{granted} granted. A new conversation has no earlier turns to pay for.",
        )


def recover_chat(claimed: ClaimedRun, job: ChatJob, text: str) -> Made:
    """What another worker's chat had made, which was lost when it had said `text`."""
    answer = ChatAnswer(prepare_call(claimed, job), lambda _: None)
    answer.put(text)
    return answer.made()


def _price(usage: Usage) -> Decimal:
    prompt = price_of(usage.prompt_tokens, Decimal(usage.prompt_unit_price))
    return prompt + price_of(usage.completion_tokens, Decimal(usage.completion_unit_price))
