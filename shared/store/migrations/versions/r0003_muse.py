"""What the Muse API shows and changes: models of users, records and their counts, live settings, MCP servers, audit."""

from importlib import resources

from alembic import op

revision = "0003"
down_revision = "0002"

RECORD_TYPES = ("text", "image", "video", "command", "speech", "task")
"""In the order of their numbers."""
KINDS = 2 * len(RECORD_TYPES)
"""Each may be deleted, or not."""


def upgrade() -> None:
    for name in ("tables", "records", "runs"):
        op.execute(_read(name))
    lists = _read("lists")
    for place, sql in {
        "{of_app}": _all_kinds("app_id = n.app"),
        "{of_owner}": _all_kinds("owner = v_owner"),
        "{kinds}": str(KINDS),
        "{types}": f"ARRAY{list(RECORD_TYPES)}",
    }.items():
        lists = lists.replace(place, sql)
    op.execute(lists)


def _read(name: str) -> str:
    return resources.files("shared.store").joinpath(f"migrations/sql/0003_{name}.sql").read_text("utf-8")


def _all_kinds(whose: str) -> str:
    return "\nUNION ALL ".join(
        "(SELECT number, record_type, is_deleted FROM messages "  # noqa: S608 - made of our own words alone
        f"WHERE {whose} AND record_type = v_types[{kind}] AND is_deleted = v_deleted[{kind}] ORDER BY number DESC)"
        for kind in range(1, KINDS + 1)
    )
