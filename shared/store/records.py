"""Records: the turns of an app's users as the Muse API shows them, and their deletion."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.runs import RecordType, Surface
from shared.store.engine import Database
from shared.store.pages import Page


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records are wanted; the SQL function `list_records` reads the fields by their names.

    None is any user, and both what is deleted and what is not.
    """

    app: UUID
    user_id: str | None
    types: Sequence[RecordType]
    deleted: bool | None
    skip: int
    take: int


def read_records(database: Database, wanted: RecordFilter) -> Page:
    """A page of an app's records, the newest first.

    Raises:
        HeliconError: DATABASE_READ_FAILED.
    """
    return Page(*database.call("SELECT * FROM list_records(%s::jsonb)", wanted, reads=True))


def delete_records(
    session: Session,
    owner: int,
    *,
    surface: Surface | None = None,
    conversation: UUID | None = None,
    message: UUID | None = None,
) -> int:
    """Mark records of a user as deleted: of the surface, the conversation, the one message; where none is given, all.

    One transaction deletes records of one user: of several it would wait for others that do the same.

    Returns:
        How many were marked that had not been.
    """
    statement = text("SELECT delete_records(:owner, :surface, :conversation, :message)")
    fields = {"owner": owner, "surface": surface, "conversation": conversation, "message": message}
    return session.execute(statement, fields).scalar_one()
