"""The kinds of runs: what each kind of job is done by, and how it is made good when its worker is lost."""

from collections.abc import Coroutine
from typing import Any

from services.worker.events.voice import Voice
from services.worker.loop import LoopThread
from services.worker.providers.providers import Providers
from services.worker.runs.active import ActiveRun
from services.worker.runs.balance import BalanceWork
from services.worker.runs.chat import ChatWork, recover_chat
from services.worker.runs.work import Work
from shared.contracts.jobs import BalanceJob, ChatJob, CommandJob, parse_job
from shared.store.engine import Database
from shared.store.runs.claim import ClaimedRun
from shared.store.runs.settle import NOTHING, Made


class Kinds:
    """Makes the work of claimed runs.

    Args:
        database: has what a run works on.
        loop: where providers are heard.
        providers: are asked.
    """

    def __init__(self, database: Database, loop: LoopThread, providers: Providers) -> None:
        self._database = database
        self._loop = loop
        self._providers = providers

    def make_work(self, claimed: ClaimedRun, active: ActiveRun, voice: Voice) -> Work:
        """The work of a claimed run.

        Raises:
            ValidationError: a newer version wrote its job.
            ValueError: the gateway answers jobs of this kind by itself.
        """

        def hear(work: Coroutine[Any, Any, None]) -> None:
            self._loop.run(active.execute(work))

        match parse_job(claimed.job):
            case ChatJob() as job:
                return ChatWork(claimed, job, hear, voice, self._database, self._providers.chat)
            case BalanceJob() as job:
                return BalanceWork(job, hear, voice, self._providers.balance)
            case CommandJob():
                raise ValueError("a command is never queued")

    def recover(self, claimed: ClaimedRun, text: str) -> Made:
        """What a lost run had made that had said `text`."""
        match parse_job(claimed.job):
            case ChatJob() as job:
                return recover_chat(claimed, job, text)
            case BalanceJob():
                return Made(text)
            case CommandJob():
                return NOTHING
