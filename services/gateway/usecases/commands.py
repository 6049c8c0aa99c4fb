"""Slash commands that the gateway answers by itself. Their words are a catalogue of three languages."""

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.usecases.chats import first_grant, settings_on
from shared.contracts.live import LiveSettings
from shared.domain.commands import Command, Prompt
from shared.domain.runs import Surface
from shared.domain.titles import cut_title
from shared.store.apps import AppRecord
from shared.store.conversations import CommandTurn, record_command
from shared.store.engine import Database
from shared.store.runs.read import RunRecord

_HELP: dict[str, dict[Command, str]] = {
    "en": {
        Command.CHAT: "ask a question; alone, it opens a new conversation",
        Command.HELP: "this list",
    },
    "zh": {
        Command.CHAT: "提问；单独使用时开始新的对话",
        Command.HELP: "显示此列表",
    },
    "ru": {
        Command.CHAT: "задать вопрос; без текста — начать новую беседу",
        Command.HELP: "этот список",
    },
}
_UNKNOWN = {
    "en": "Unknown command: {word}. These are known:",
    "zh": "未知命令：{word}。可用的命令：",
    "ru": "Неизвестная команда: {word}. Известны:",
}
_NEW_CONVERSATION = {
    "en": "A new conversation is open.",
    "zh": "已开始新的对话。",
    "ru": "Открыта новая беседа.",
}


@dataclass(frozen=True)
class Commands:
    """Answers commands and keeps them as turns.

    `grant` of a new user and the language come from the live settings.
    """

    database: Database
    read_live: Callable[[], LiveSettings]

    def answer(self, app: AppRecord, user: str, prompt: Prompt) -> RunRecord:
        """Answer any command but a chat with text.

        Raises:
            HeliconError: DATABASE_WRITE_FAILED.
        """
        typed = f"{prompt.word} {prompt.text}".strip()
        turn = CommandTurn(
            app=app.id,
            user=user,
            grant=first_grant(settings_on(Surface.MUSE, app), self.read_live().base),
            name=cut_title(typed),
            query=typed,
            answer=self._words(prompt),
            new_conversation=prompt.command is Command.CHAT,
        )
        with self.database.write() as session:
            return record_command(session, turn)

    def _words(self, prompt: Prompt) -> str:
        lang = self.read_live().base.lang
        match prompt.command:
            case Command.CHAT:
                return _NEW_CONVERSATION[lang]
            case Command.HELP:
                return help_text(lang)
            case None:
                return _UNKNOWN[lang].format(word=prompt.word) + "\n" + help_text(lang)


def help_text(lang: str) -> str:
    """The list of commands, a line each."""
    return "\n".join(f"/{command} — {words}" for command, words in _HELP[lang].items())
