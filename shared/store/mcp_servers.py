"""MCP servers as they were configured: kept, changed one at a time, removed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.contracts.mcp_servers import McpServer
from shared.store import models
from shared.store.mcp_secrets import Concealed, reveal
from shared.store.sealing import Sealer


@dataclass(frozen=True, slots=True)
class McpServerRecord:
    """A server, read; its secrets are sealed."""

    name: str
    server: Concealed
    disabled: bool

    @property
    def is_program(self) -> bool:
        """Whether it is reached by running a program (stdio)."""
        return "command" in self.server.shown

    @property
    def shown(self) -> dict[str, Any]:
        """Its configuration, secrets masked."""
        return {**self.server.shown, "disabled": self.disabled}

    def open(self, sealer: Sealer) -> McpServer:
        """Its configuration, with its secrets.

        Raises:
            WrongSecretKeyError: they were sealed with another secret key.
        """
        return McpServer.model_validate({**reveal(sealer, self.name, self.server), "disabled": self.disabled})


def lock_servers(session: Session) -> None:
    """Make others wait with their changes for the end of this transaction; who reads does not wait.

    It is the table that is locked: a server that is not there yet has no row to lock.
    """
    session.execute(text("LOCK TABLE mcp_servers IN SHARE ROW EXCLUSIVE MODE"))


def count_servers(session: Session) -> int:
    """How many servers there are."""
    return session.scalars(select(func.count()).select_from(models.McpServer)).one()


def list_servers(session: Session) -> list[McpServerRecord]:
    """All servers by name."""
    return [_read(row) for row in session.scalars(select(models.McpServer).order_by(models.McpServer.name))]


def find_server(session: Session, name: str) -> McpServerRecord | None:
    """The server of that name."""
    row = session.get(models.McpServer, name)
    return None if row is None else _read(row)


def save_server(session: Session, record: McpServerRecord) -> None:
    """Keep a server, in place of the one of that name."""
    values = {
        "server": {"shown": record.server.shown, "sealed": record.server.sealed},
        "disabled": record.disabled,
    }
    row = insert(models.McpServer).values(name=record.name, **values)
    session.execute(row.on_conflict_do_update(constraint="mcp_servers_pk", set_={**values, "updated_at": func.now()}))


def delete_server(session: Session, name: str) -> None:
    """Remove a server."""
    session.execute(delete(models.McpServer).where(models.McpServer.name == name))


def _read(row: models.McpServer) -> McpServerRecord:
    return McpServerRecord(row.name, Concealed(row.server["shown"], row.server["sealed"]), row.disabled)
