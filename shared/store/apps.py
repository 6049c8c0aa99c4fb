"""Apps: made, listed, edited, disabled."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuids
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.contracts.apps import AppSettings
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.models import App

DEFAULT_APP = "default"
"""Name of the built-in app, which the first migration makes."""


@dataclass(frozen=True, slots=True)
class AppRecord:
    """An app, read."""

    id: UUID
    name: str
    mode: str
    disabled: bool
    settings: AppSettings


def read_app(app: App) -> AppRecord:
    """The record of a row; settings that only a newer version knows are left out."""
    known = {name: value for name, value in app.settings.items() if name in AppSettings.model_fields}
    return AppRecord(app.id, app.name, app.mode, app.disabled, AppSettings.model_validate(known))


def create_app(session: Session, name: str, mode: str, settings: dict[str, Any]) -> AppRecord:
    """Make an app.

    Raises:
        HeliconError: CONFLICT, the name is taken; INVALID_PARAM, a setting is wrong.
    """
    checked = _checked(settings)
    app = App(id=uuids.uuid7(), name=name, mode=mode, settings=checked.model_dump(mode="json", exclude_unset=True))
    session.add(app)
    try:
        session.flush()
    except IntegrityError as error:
        raise HeliconError(ErrorCode.CONFLICT, f"An app named {name!r} exists already.") from error
    session.refresh(app)
    return read_app(app)


def list_apps(session: Session) -> list[AppRecord]:
    """All apps by name."""
    return [read_app(app) for app in session.scalars(select(App).order_by(App.name))]


def find_app(session: Session, name: str) -> AppRecord:
    """The app of that name.

    Raises:
        HeliconError: NOT_FOUND.
    """
    app = session.scalar(select(App).where(App.name == name))
    if app is None:
        raise _unknown(name)
    return read_app(app)


def edit_app(session: Session, name: str, changes: dict[str, Any]) -> AppRecord:
    """Change settings of an app; those that are not named stay.

    Raises:
        HeliconError: NOT_FOUND; INVALID_PARAM, a setting is unknown or wrong, and nothing was changed.
    """
    app = _locked(session, name)
    app.settings = _checked({**app.settings, **changes}).model_dump(mode="json", exclude_unset=True)
    app.updated_at = func.now()
    session.flush()
    return read_app(app)


def set_disabled(session: Session, name: str, *, disabled: bool) -> AppRecord:
    """Disable an app (its keys are answered 403) or enable it again.

    Raises:
        HeliconError: NOT_FOUND.
    """
    app = _locked(session, name)
    app.disabled = disabled
    app.updated_at = func.now()
    session.flush()
    return read_app(app)


def _locked(session: Session, name: str) -> App:
    app = session.scalar(select(App).where(App.name == name).with_for_update())
    if app is None:
        raise _unknown(name)
    return app


def _unknown(name: str) -> HeliconError:
    return HeliconError(ErrorCode.NOT_FOUND, f"There is no app named {name!r}.")


def _checked(settings: dict[str, Any]) -> AppSettings:
    try:
        return AppSettings.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            known = ", ".join(AppSettings.model_fields)
            raise HeliconError.invalid(f"{where}: there is no such setting; known are: {known}") from error
        raise HeliconError.invalid(f"{where}: {first['msg']}") from error
