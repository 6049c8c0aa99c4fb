"""Claiming a run together with the turns before it, in one round trip."""

from importlib import resources

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(resources.files("shared.store").joinpath("migrations/sql/0002_claim_run.sql").read_text("utf-8"))
