"""Apps, keys, users, conversations, messages, runs, the ledger, and the two hot transactions."""

from importlib import resources

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    for name in ("tables", "start_run", "settle_run"):
        op.execute(resources.files("shared.store").joinpath(f"migrations/sql/0001_{name}.sql").read_text("utf-8"))
