"""Slash commands: a table of what each one does. Most are answered here, in a turn that costs nothing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import structlog
import uuid_utils.compat as uuids
from sqlalchemy.orm import Session

from services.gateway.streaming.runstream import RunStream
from services.gateway.usecases.chats import Chats, Question, first_grant, is_free, settings_on
from services.gateway.usecases.runs import Runs
from shared.catalogue.texts import say
from shared.contracts.jobs import BalanceJob
from shared.contracts.offers import Offers
from shared.domain.commands import Prompt, parse_prompt
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import Surface
from shared.domain.titles import cut_title
from shared.store.apps import AppRecord
from shared.store.conversations import CommandTurn, record_command
from shared.store.engine import Database
from shared.store.muse_sessions import (
    clear_records,
    enabled_servers,
    find_last_question,
    read_current_conversation,
    read_used,
)
from shared.store.runs.start import NewRun
from shared.store.users import choose_mode, read_mode, read_tokens, see_user

log = structlog.get_logger()

CURRENT = "*"
"""Marks the user's model in the list of all."""
LONGEST_SHOWN = 100
"""Characters of a word that nobody knows, as it is shown again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what."""

    app: AppRecord
    user: str
    prompt: Prompt

    @property
    def typed(self) -> str:
        """The command as it was typed."""
        return f"{self.prompt.word} {self.prompt.text}".strip()


Words = Callable[[Session, int], str]
"""Does what a command is for, to the user of that id, and says what is answered."""


class Commands:
    """Answers prompts by the table of commands.

    Args:
        database: has users, conversations and records.
        offers: the models, and the live settings in force.
        chats: answer questions.
        runs: give answers back.
    """

    def __init__(self, database: Database, offers: Offers, chats: Chats, runs: Runs) -> None:
        self._database = database
        self._offers = offers
        self._chats = chats
        self._runs = runs
        self.table: dict[str, Callable[[Asked], RunStream]] = {
            "chat": self._chat,
            "mode": self._mode,
            "balance": self._balance,
            "state": self._state,
            "clear": self._clear,
            "retry": self._retry,
            "help": self._help,
        }
        """What each command does, in the order of `/help`; its words there are the text `help.NAME`."""

    def answer(self, app: AppRecord, user: str, text: str) -> RunStream:
        """Answer a prompt.

        Raises:
            HeliconError: as `Chats.ask`; DATABASE_WRITE_FAILED.
        """
        asked = Asked(app, user, parse_prompt(text))
        return self.table.get(asked.prompt.command, self._unknown)(asked)

    def _chat(self, asked: Asked) -> RunStream:
        if asked.prompt.text:
            return self._chats.ask(Question(asked.app, asked.user, Surface.MUSE, asked.prompt.text, {}))
        return self._tell(asked, self._say("chat.opened"), new_conversation=True)

    def _mode(self, asked: Asked) -> RunStream:
        name = asked.prompt.text
        if not name:
            return self._tell(asked, self._models(asked))
        try:
            model = self._offers.named(self._offers.spelled(name))
        except HeliconError as error:
            if error.code is not ErrorCode.MODEL_UNSUPPORTED:
                raise
            return self._tell(asked, f"{self._say('mode.unknown', model=cut(name))}\n{self._models(asked)}")

        def words(session: Session, _owner: int) -> str:
            choose_mode(session, asked.app.id, asked.user, model.name, first_grant=self._first_grant(asked))
            return self._say("mode.chosen", model=model.name)

        return self._tell(asked, words)

    def _balance(self, asked: Asked) -> RunStream:
        live = self._offers.live
        provider = self._offers.catalogue.provider(live.base.type)
        if not (provider.balance and live.provider_key(provider.name)):
            return self._tell(asked, lambda session, owner: self._tokens(asked, session, owner))
        with self._database.write() as session:
            owner = see_user(session, asked.app.id, asked.user, self._first_grant(asked))
            tokens = self._tokens(asked, session, owner)
        return self._runs.start(_balance_run(asked, BalanceJob(provider=provider.name, lang=self._lang, tokens=tokens)))

    def _state(self, asked: Asked) -> RunStream:
        model = self._model(asked)

        def words(session: Session, owner: int) -> str:
            current = read_current_conversation(session, owner)
            servers = enabled_servers(session)
            lines = (
                *model,
                self._say("state.conversation", title=current.title, turns=current.turns)
                if current
                else self._say("state.no_conversation"),
                self._say("state.servers", servers=", ".join(servers)) if servers else self._say("state.no_servers"),
                self._say("state.used", **asdict(read_used(session, owner))),
            )
            return "\n".join(lines)

        return self._tell(asked, words)

    def _clear(self, asked: Asked) -> RunStream:
        def words(session: Session, owner: int) -> str:
            return self._say("clear.done", records=clear_records(session, asked.app.id, owner))

        return self._tell(asked, words, new_conversation=True)

    def _retry(self, asked: Asked) -> RunStream:
        with self._database.read() as session:
            last = find_last_question(session, asked.app.id, asked.user)
        if last is None:
            return self._tell(asked, self._say("retry.nothing"))
        question = Question(
            asked.app, asked.user, Surface.MUSE, last.query, {}, conversation=last.conversation, replaces=last.message
        )
        return self._chats.ask(question)

    def _help(self, asked: Asked) -> RunStream:
        return self._tell(asked, self._commands())

    def _unknown(self, asked: Asked) -> RunStream:
        hint = self._say("command.unknown", word=cut(asked.prompt.word))
        return self._tell(asked, f"{hint}\n{self._commands()}")

    def _mode_of(self, asked: Asked) -> str:
        with self._database.read() as session:
            return read_mode(session, asked.app.id, asked.user)

    def _models(self, asked: Asked) -> str:
        """The models that are offered, a line each, the user's one marked."""
        current = self._offers.of_mode(self._mode_of(asked)).name
        names = dict.fromkeys([*(model.name for model in self._offers.models()), current])
        return "\n".join(f"{CURRENT} {name}" if name == current else name for name in names)

    def _model(self, asked: Asked) -> tuple[str, ...]:
        """Which model answers the user's chats, and whose it is."""
        try:
            model = self._offers.of_mode(self._mode_of(asked))
        except HeliconError as error:
            log.info("state.no_model", code=error.code, error=error.message)
            return (self._say("state.no_model"),)
        return self._say("state.model", model=model.name), self._say("state.provider", provider=model.provider)

    def _tokens(self, asked: Asked, session: Session, owner: int) -> str:
        """What the user has left."""
        if not self._first_grant(asked) or is_free(Surface.MUSE, asked.user, self._offers.live.base):
            return self._say("balance.unlimited", used=read_used(session, owner).total)
        granted, left = read_tokens(session, owner)
        return self._say("balance.tokens", left=left, granted=granted, used=granted - left)

    def _commands(self) -> str:
        """All commands, a line each."""
        return "\n".join(f"/{name} — {self._say(f'help.{name}')}" for name in self.table)

    @property
    def _lang(self) -> str:
        return self._offers.live.base.lang

    def _say(self, name: str, **values: object) -> str:
        return say(self._lang, name, **values)

    def _first_grant(self, asked: Asked) -> int:
        return first_grant(settings_on(Surface.MUSE, asked.app), self._offers.live.base)

    def _tell(self, asked: Asked, words: str | Words, *, new_conversation: bool = False) -> RunStream:
        """Do what a command is for and keep it with its answer as a turn, all in one transaction."""
        with self._database.write() as session:
            owner = see_user(session, asked.app.id, asked.user, self._first_grant(asked))
            answer = words if isinstance(words, str) else words(session, owner)
            turn = CommandTurn(asked.app.id, owner, cut_title(asked.typed), asked.typed, answer, new_conversation)
            record = record_command(session, turn)
        return self._runs.replay(record)


def _balance_run(asked: Asked, job: BalanceJob) -> NewRun:
    return NewRun(
        app=asked.app.id,
        user_id=asked.user,
        first_grant=0,
        quota=False,
        surface=Surface.MUSE,
        conversation=None,
        new_conversation=uuids.uuid7(),
        name=cut_title(asked.typed),
        inputs={},
        message=uuids.uuid7(),
        record_type=job.record_type,
        query=asked.typed,
        run=uuids.uuid7(),
        kind=job.kind,
        queue=job.queue,
        job=job.model_dump(mode="json"),
        bound=0,
    )


def cut(word: str) -> str:
    """A word of the user as it is shown again, cut where it is very long."""
    return word if len(word) <= LONGEST_SHOWN else word[:LONGEST_SHOWN] + "…"
