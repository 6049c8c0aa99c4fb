"""The schema that the migrations make is the one that the models describe."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from shared.store.apps import list_apps
from shared.store.engine import Database
from shared.store.models import Row
from shared.store.schema import SchemaTooNewError, is_current, upgrade


def test_the_migrated_schema_is_the_models(database: Database):
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []
        assert is_current(session)


def test_migrating_again_changes_nothing(database_url: str, database: Database):
    upgrade(database_url)
    with database.read() as session:
        assert is_current(session)
        assert [app.name for app in list_apps(session)] == ["default"]


def test_a_newer_schema_is_refused(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNewError, match="9999"):
        upgrade(database_url)
