"""What the Muse API shows and changes: models of users, records and their counts, live settings, MCP servers, audit."""

from importlib import resources

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("tables", "records", "runs"):
        op.execute(resources.files("shared.store").joinpath(f"migrations/sql/0003_{name}.sql").read_text("utf-8"))
