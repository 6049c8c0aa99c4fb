"""Prompts of `/communicate`, wherever they come from: who may give them, and what answers them."""

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.streaming.runstream import RunStream
from services.gateway.usecases.commands import Commands
from shared.contracts.live import LiveSettings
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord


@dataclass(frozen=True)
class Prompts:
    """Answers prompts: a chat by a run, any other command at once. The allow-list is in the live settings."""

    read_live: Callable[[], LiveSettings]
    commands: Commands

    def refuse_not_allowed(self, user: str) -> None:
        """Check the allow-list.

        Raises:
            HeliconError: FORBIDDEN.
        """
        base = self.read_live().base
        if base.allowed_user_ids and user not in (*base.allowed_user_ids, *base.admin_user_ids):
            raise HeliconError(ErrorCode.FORBIDDEN, f"The user {user!r} is not allowed here.")

    def answer(self, app: AppRecord, user: str, text: str) -> RunStream:
        """Answer a prompt.

        Raises:
            HeliconError: as `Chats.ask`; DATABASE_WRITE_FAILED.
        """
        return self.commands.answer(app, user, text)
