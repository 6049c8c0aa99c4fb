"""The tables. Columns say what they hold; who may change what stands with the queries, one module an aggregate."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NOW = text("now()")


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pk",
            "fk": "%(table_name)s_%(column_0_name)s_fk",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this name from the class
        str: Text,
        UUID: PG_UUID(as_uuid=True),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
    }


class App(Row):
    """An application; `settings` is a `shared.contracts.apps.AppSettings`."""

    __tablename__ = "apps"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    mode: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    disabled: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ApiKey(Row):
    """A key, known by its SHA-256 alone; `prefix` is what people call it. An admin key has no app."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sha256: Mapped[bytes] = mapped_column(unique=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    app_id: Mapped[UUID | None] = mapped_column(ForeignKey("apps.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    revoked_at: Mapped[datetime | None]


class User(Row):
    """An end user of an app. `token`: granted in all; `avail_token`: left, always the sum of the user's ledger.

    `mode` is the model that the user chose on the Muse surface, "" where they chose none.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("avail_token >= 0", name="avail_token_check"),
        Index("users_app_id_user_id_key", "app_id", "user_id", unique=True),
        Index("users_app_id_id", "app_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    app_id: Mapped[UUID] = mapped_column(ForeignKey("apps.id"))
    user_id: Mapped[str]
    token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    avail_token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    mode: Mapped[str] = mapped_column(server_default="")
    current_conversation: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Conversation(Row):
    """A conversation of a user; `inputs` filled the variables of the app's prompt when it began."""

    __tablename__ = "conversations"
    __table_args__ = (Index("conversations_owner", "owner", "updated_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    app_id: Mapped[UUID] = mapped_column(ForeignKey("apps.id"))
    owner: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    surface: Mapped[str]
    name: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
    deleted_at: Mapped[datetime | None]


class Message(Row):
    """A question and its answer. `tokens`: paid for it; `context_tokens`: what it costs to show it to a model again.

    `usage` is a `shared.contracts.events.Usage`. `error_code` is a `shared.domain.errors.ErrorCode`. As a record of the
    Muse API it has a `number`; it is deleted by the SQL function `delete_records`, which counts it.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_conversation", "conversation_id", "created_at", "id"),
        Index("messages_app_id", "app_id", "record_type", "is_deleted", "number"),
        Index("messages_owner", "owner", "record_type", "is_deleted", "number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    is_deleted: Mapped[bool] = mapped_column(server_default=text("false"))
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id"))
    app_id: Mapped[UUID] = mapped_column(ForeignKey("apps.id"))
    owner: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    record_type: Mapped[str]
    query: Mapped[str]
    answer: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str]
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    usage: Mapped[dict[str, Any] | None]
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    context_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Run(Row):
    """One execution that answers a message. `job` is a `shared.contracts.jobs.Job`; `quota` tells whether it is paid.

    `attempt` counts claims; a worker may write only with the attempt that it claimed. `sends` counts how often the run
    was put into its queue since `queued_at`. `claim` and `settlement` are made up by whoever claims and ends it,
    so that a step whose answer was lost on the way can be taken again.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_open", "owner", postgresql_where=text("finished_at IS NULL")),
        Index("runs_message_id", "message_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    app_id: Mapped[UUID] = mapped_column(ForeignKey("apps.id"))
    owner: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id"))
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"))
    job: Mapped[dict[str, Any]]
    quota: Mapped[bool]
    reserved: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sends: Mapped[int] = mapped_column(Integer, server_default="1")
    queued_at: Mapped[datetime] = mapped_column(server_default=NOW)
    claim: Mapped[UUID | None]
    settlement: Mapped[UUID | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class LedgerEntry(Row):
    """A change of a user's tokens (`shared.domain.ledger.EntryKind`). `amount` is signed, `tokens` what was used."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ledger_run_id_call_kind_key", "run_id", "call", "kind", unique=True),
        Index("ledger_owner", "owner", "created_at", "id", postgresql_include=["kind", "tokens"]),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger, ForeignKey("users.id"))
    kind: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    run_id: Mapped[UUID | None]
    call: Mapped[int] = mapped_column(Integer, server_default="1")
    provider: Mapped[str | None]
    model: Mapped[str | None]
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    completion_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    price: Mapped[Any | None] = mapped_column(Numeric)
    currency: Mapped[str | None]
    estimated: Mapped[bool] = mapped_column(server_default=text("false"))
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class IdempotencyKey(Row):
    """A client's key for a run that it asked for; `body_sha256` tells what it asked, hex."""

    __tablename__ = "idempotency_keys"

    app_id: Mapped[UUID] = mapped_column(ForeignKey("apps.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    run_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class RecordCount(Row):
    """How many records there are: a user's (shard 0), and an app's (`owner` 0) as the sum over its shards."""

    __tablename__ = "record_counts"

    app_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    record_type: Mapped[str] = mapped_column(primary_key=True)
    is_deleted: Mapped[bool] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    records: Mapped[int] = mapped_column(BigInteger)


class UserCount(Row):
    """How many users an app has: the sum over its shards."""

    __tablename__ = "user_counts"

    app_id: Mapped[UUID] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    users: Mapped[int] = mapped_column(BigInteger)


class Installation(Row):
    """The one row of what belongs to no app: `version` of the live configuration, and the `seal` of the secret key."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id", name="one"),)

    id: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    seal: Mapped[str | None]


class LiveSetting(Row):
    """A field of the live configuration that was changed; `value` as JSON, a secret's is sealed."""

    __tablename__ = "live_settings"

    section: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class McpServer(Row):
    """An MCP server as it was configured; `server` is a `shared.store.mcp_secrets.Concealed`."""

    __tablename__ = "mcp_servers"

    name: Mapped[str] = mapped_column(primary_key=True)
    server: Mapped[dict[str, Any]]
    disabled: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class AuditEntry(Row):
    """A change that an administrator made: who (the key's prefix), what they did to what, and how it was before."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_created_at", "created_at", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    old: Mapped[Any | None] = mapped_column(JSONB)
    new: Mapped[Any | None] = mapped_column(JSONB)
