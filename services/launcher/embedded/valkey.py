"""The embedded Valkey: queues and events on loopback, with a password and an append-only file."""

import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from services.launcher.child import Command
from services.launcher.embedded.binaries import valkey_program
from services.launcher.embedded.data_folder import open_data_folder, write_private
from services.launcher.embedded.ports import LOOPBACK
from services.launcher.embedded.server import EmbeddedServer

CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/valkey.pid"
daemonize no
set-proc-title no
loglevel warning
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
client-output-buffer-limit pubsub 256mb 64mb 60
"""


class EmbeddedValkey(EmbeddedServer):
    """A Valkey on loopback."""

    name = "valkey"
    program = "valkey-server"

    @property
    def url(self) -> str:
        """redis://:PASSWORD@127.0.0.1:PORT/0."""
        return f"redis://:{self.data.password(self.name)}@{LOOPBACK}:{self.port}/0"

    def is_ready(self, pid: int) -> bool:  # noqa: ARG002 - nobody else knows the password
        """Whether it answers, and has read its data."""
        hello = f"AUTH {self.data.password(self.name)}\r\nPING\r\n"
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(hello.encode())
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False

    def command(self) -> Command:
        """Write its configuration, which holds the password: an argument could be seen by everybody."""
        folder = self.data.server_folder("valkey")
        file = self.data.place / "valkey.conf"
        quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
        password = self.data.password(self.name)
        write_private(file, CONFIGURATION.format(port=self.port, password=password, folder=quoted))
        self.data.give(file)
        return Command(
            (str(valkey_program(self.data)), str(file)),
            environ={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            folder=folder,
            account=self.data.account,
            orphan_signal=signal.SIGTERM,
        )


@contextmanager
def embedded_valkey(folder: Path, *, port: int | None = None) -> Generator[EmbeddedValkey]:
    """A running Valkey whose data stay in `folder`."""
    server = EmbeddedValkey(open_data_folder(folder), port=port)
    try:
        server.start()
        yield server
    finally:
        server.close()
