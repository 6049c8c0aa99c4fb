"""MCP servers: shown, configured, disabled, removed. Nothing is connected here: that is what workers do."""

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from shared.contracts.mcp_servers import parse_server
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.audit import record_change
from shared.store.engine import Database
from shared.store.mcp_secrets import conceal
from shared.store.mcp_servers import (
    McpServerRecord,
    count_servers,
    delete_server,
    find_server,
    list_servers,
    lock_servers,
    save_server,
)
from shared.store.sealing import Sealer

MOST_SERVERS = 100
"""Each has a connection, and its tools are shown to models."""
NO_PROGRAMS = "a server that is a program (stdio) is run only where HELICON_MCP_STDIO is on"


class McpServers:
    """What administrators do to MCP servers.

    Args:
        database: keeps them.
        sealer: seals their secrets.
        programs: whether a server may be a program (`HELICON_MCP_STDIO`).
    """

    def __init__(self, database: Database, sealer: Sealer, *, programs: bool) -> None:
        self._database = database
        self._sealer = sealer
        self._programs = programs

    def shown(self) -> dict[str, Any]:
        """All servers, secrets masked, and their states.

        Raises:
            HeliconError: DATABASE_READ_FAILED.
        """
        with self._database.read() as session:
            records = list_servers(session)
        return {
            "McpServers": {record.name: record.shown for record in records},
            "status": {record.name: self._status(record) for record in records},
        }

    def update(self, actor: str, name: str, document: dict[str, Any]) -> None:
        """Configure a server, in place of the one of that name; secrets that come back masked are kept.

        Raises:
            HeliconError: INVALID_PARAM, MCP_SERVER_UNUSABLE; DATABASE_WRITE_FAILED.
        """
        server = parse_server(document)
        if server.command is not None:
            self._refuse_program()
        fields = server.model_dump(mode="json", exclude_unset=True, exclude={"disabled"})
        with self._database.write() as session:
            lock_servers(session)
            before = find_server(session, name)
            if before is None and count_servers(session) >= MOST_SERVERS:
                words = f"there are {MOST_SERVERS} servers already, which is the most: delete one first"
                raise HeliconError(ErrorCode.MCP_SERVER_UNUSABLE, words)
            concealed = conceal(self._sealer, name, fields, before.server if before else None)
            after = McpServerRecord(name, concealed, server.disabled)
            save_server(session, after)
            _audit(session, actor, "mcp.update", name, before, after)

    def delete(self, actor: str, name: str) -> None:
        """Remove a server.

        Raises:
            HeliconError: NOT_FOUND; DATABASE_WRITE_FAILED.
        """
        with self._database.write() as session:
            before = _locked(session, name)
            delete_server(session, name)
            _audit(session, actor, "mcp.delete", name, before, None)

    def disable(self, actor: str, name: str, *, disabled: bool) -> None:
        """Disable a server, or enable it again.

        Raises:
            HeliconError: NOT_FOUND; MCP_SERVER_UNUSABLE, it is a program and these are not run; DATABASE_WRITE_FAILED.
        """
        with self._database.write() as session:
            before = _locked(session, name)
            if before.disabled == disabled:
                return
            if before.is_program and not disabled:
                self._refuse_program()
            after = replace(before, disabled=disabled)
            save_server(session, after)
            _audit(session, actor, "mcp.disable", name, before, after)

    def _refuse_program(self) -> None:
        if not self._programs:
            raise HeliconError(ErrorCode.MCP_SERVER_UNUSABLE, NO_PROGRAMS)

    def _status(self, record: McpServerRecord) -> dict[str, Any]:
        state, error = "connecting", None  # by nobody yet
        if record.disabled:
            state = "disabled"
        elif record.is_program and not self._programs:
            state, error = "failed", NO_PROGRAMS
        return {"state": state, "tools": 0, "error": error, "checked_at": None}


def _locked(session: Session, name: str) -> McpServerRecord:
    lock_servers(session)
    found = find_server(session, name)
    if found is None:
        raise HeliconError(ErrorCode.NOT_FOUND, f"There is no MCP server {name!r}.")
    return found


def _audit(
    session: Session, actor: str, action: str, name: str, before: McpServerRecord | None, after: McpServerRecord | None
) -> None:
    old, new = (record.shown if record else None for record in (before, after))
    record_change(session, actor, action, name, old=old, new=new)
