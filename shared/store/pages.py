"""Pages of long lists, as they come from the database."""

from typing import NamedTuple


class Page(NamedTuple):
    """A page: its items as the text of a JSON list, and how many there are on all pages."""

    items: str
    total: int
