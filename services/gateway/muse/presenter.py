"""What the Muse API's answers look like."""

import orjson

from shared.store.pages import Page


def as_list(page: Page) -> dict[str, object]:
    """A page as `data` of the envelope. Postgres wrote its items as JSON: they are passed on as they are."""
    return {"list": orjson.Fragment(page.items), "total": page.total}
