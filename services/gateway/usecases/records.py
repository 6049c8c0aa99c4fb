"""Records: the turns of an app's users, as administrators see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.runs import RecordType
from shared.store.apps import AppRecord
from shared.store.engine import Database
from shared.store.pages import Page
from shared.store.records import RecordFilter, read_records


@dataclass(frozen=True)
class Records:
    """The records of all apps."""

    database: Database

    def page(
        self,
        app: AppRecord,
        *,
        user: str | None,
        types: Sequence[RecordType],
        deleted: bool | None,
        skip: int,
        take: int,
    ) -> Page:
        """A page of an app's records.

        Args:
            app: whose records.
            user: whose of them; None: everybody's.
            types: those that are wanted; none: all.
            deleted: whether they are deleted; None: both.
            skip: how many stand before the page.
            take: how many stand on it.

        Raises:
            HeliconError: DATABASE_READ_FAILED.
        """
        return read_records(self.database, RecordFilter(app.id, user, types or tuple(RecordType), deleted, skip, take))
