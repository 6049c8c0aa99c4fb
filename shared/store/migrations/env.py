"""Alembic's environment: run on the connection that `shared.store.schema` holds the lock on."""

from alembic import context

from shared.store.models import Row

context.configure(connection=context.config.attributes["connection"], target_metadata=Row.metadata)
with context.begin_transaction():
    context.run_migrations()
