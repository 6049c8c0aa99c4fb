"""A balance: the user's tokens, as the gateway knows them, and what is left of the account at the provider."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from services.worker.events.voice import Voice
from services.worker.providers.base import Amount
from services.worker.runs.chat import Hear
from shared.catalogue.texts import say
from shared.contracts.jobs import BalanceJob
from shared.domain.errors import HeliconError
from shared.store.runs.settle import Made

log = structlog.get_logger()

AskBalance = Callable[[str], Coroutine[Any, Any, Sequence[Amount]]]
"""Asks a provider, by its name."""


class BalanceWork:
    """A balance, as the lifecycle runs it (`services.worker.runs.work.Work`).

    Args:
        job: what it has to say.
        hear: does what is asynchronous, on the loop.
        voice: says the answer.
        ask: asks the provider.
    """

    def __init__(self, job: BalanceJob, hear: Hear, voice: Voice, ask: AskBalance) -> None:
        self._job = job
        self._hear = hear
        self._voice = voice
        self._ask = ask
        self._said = ""

    def do(self) -> None:
        """Say the tokens at once, and the provider's balance when it comes."""
        self._hear(self._answer())

    def made(self) -> Made:
        """What was said; it costs nothing."""
        return Made(self._said)

    async def _answer(self) -> None:
        self._say(self._job.tokens)
        self._say("\n" + await self._account())

    async def _account(self) -> str:
        job = self._job
        try:
            amounts = await self._ask(job.provider)
        except HeliconError as error:
            log.warning("balance.not_told", provider=job.provider, code=error.code, error=error.message)
            return say(job.lang, "balance.silent", provider=job.provider)
        shown = ", ".join(f"{amount.amount:.2f} {amount.currency}" for amount in amounts) or "0"
        return say(job.lang, "balance.provider", provider=job.provider, amounts=shown)

    def _say(self, text: str) -> None:
        self._said += text
        self._voice.text(text)
