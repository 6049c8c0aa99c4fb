"""End users, as administrators see and change them."""

from dataclasses import dataclass

from services.gateway.usecases.chats import first_grant, settings_on
from shared.contracts.offers import Offers
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import Surface
from shared.store.apps import AppRecord
from shared.store.audit import record_change
from shared.store.engine import Database
from shared.store.pages import Page
from shared.store.users import UserFilter, choose_mode, grant_tokens, read_users


@dataclass(frozen=True)
class Users:
    """What administrators may do with the users of an app. `offers` are the models that can be a user's mode."""

    database: Database
    offers: Offers

    def page(self, app: AppRecord, user: str | None, *, skip: int, take: int) -> Page:
        """A page of the app's users, or the one user of that name.

        Raises:
            HeliconError: DATABASE_READ_FAILED.
        """
        modes = None if self.offers.any_name else [model.name for model in self.offers.models()]
        return read_users(self.database, UserFilter(app.id, user, skip, take, self.offers.default_name, modes))

    def add_tokens(self, actor: str, app: AppRecord, user: str, tokens: int) -> None:
        """Give a user tokens; a negative number takes them back.

        Raises:
            HeliconError: INVALID_PARAM, the user has fewer; DATABASE_WRITE_FAILED.
        """
        with self.database.write() as session:
            before = grant_tokens(session, app.id, user, tokens, first_grant=self._grant(app), note=f"by {actor}")
            record_change(
                session,
                actor,
                "user.token.add",
                f"{app.name}/{user}",
                old={"token": before.granted, "avail_token": before.left},
                new={"token": before.granted + tokens, "avail_token": before.left + tokens},
            )

    def choose_mode(self, actor: str, app: AppRecord, user: str, mode: str) -> None:
        """Let a user's chats on the Muse surface run on the model of that name.

        Raises:
            HeliconError: INVALID_PARAM, the model is not offered; DATABASE_WRITE_FAILED.
        """
        try:
            self.offers.named(mode)
        except HeliconError as error:
            if error.code is not ErrorCode.MODEL_UNSUPPORTED:
                raise
            raise HeliconError.invalid(f"mode: {error.message}") from error
        with self.database.write() as session:
            before = choose_mode(session, app.id, user, mode, first_grant=self._grant(app))
            record_change(session, actor, "user.update.mode", f"{app.name}/{user}", old=before, new=mode)

    def _grant(self, app: AppRecord) -> int:
        return first_grant(settings_on(Surface.MUSE, app), self.offers.live.base)
