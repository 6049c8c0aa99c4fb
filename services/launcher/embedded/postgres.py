"""The embedded Postgres: a cluster made by `initdb` with a password, and the server as our direct child."""

import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from services.launcher.child import Command, run_to_end
from services.launcher.embedded.binaries import postgres_programs, postgres_version
from services.launcher.embedded.data_folder import DataFolder, open_data_folder, write_private
from services.launcher.embedded.ports import LOOPBACK
from services.launcher.embedded.server import EmbeddedServer
from services.launcher.errors import PartFailedError, WrongEnvironmentError

USER = DATABASE = "helicon"
CREATE_DATABASE = f"CREATE DATABASE {DATABASE}\n"
ENVIRON = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: what a killed server leaves goes with it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    # What people write to their models stands in statements and rows: neither is logged.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# Commits stay synchronous: what was committed then survives `kill -9`, though not a power cut.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
STATUS_LINE = 7
"""Of `postmaster.pid`, from 0: "ready" once clients are served; `pg_ctl` waits for the same."""


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres on loopback with one user and one database, both named helicon.

    Args:
        data: where its data lie.
        port: where it listens; None: on a free port.
        durable: False: a power cut may cost the database; faster, for tests.
    """

    name = "postgres"
    program = "postgres"

    def __init__(self, data: DataFolder, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__(data, port=port)
        self._durable = durable

    @property
    def url(self) -> str:
        """postgresql://helicon:PASSWORD@127.0.0.1:PORT/helicon."""
        return f"postgresql://{USER}:{self.data.password(self.name)}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def folder(self) -> Path:
        """The cluster."""
        return self.data.place / "pg"

    def is_ready(self, pid: int) -> bool:
        """Whether `pid` is the server of this folder, and past its recovery."""
        try:
            lines = (self.folder / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"

    def prepare(self) -> Command:
        """As of every server; what names a process that is gone is removed, or Postgres would refuse to start."""
        command = super().prepare()
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        return command

    def command(self) -> Command:
        """Make the cluster if there is none.

        Raises:
            WrongEnvironmentError: it was made by another major version of Postgres.
        """
        programs = postgres_programs(self.data)
        if not self.folder.exists():
            self._make_cluster(programs)
        self._check_version()
        settings = {**SETTINGS, "port": str(self.port), **({} if self._durable else NOT_DURABLE)}
        given = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        return Command(
            (str(programs / "postgres"), "-D", str(self.folder), *given),
            environ=ENVIRON,
            folder=self.folder,
            account=self.data.account,
            stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back
            orphan_signal=signal.SIGINT,
        )

    def _check_version(self) -> None:
        made_by = (self.folder / "PG_VERSION").read_text("ascii").strip()
        if made_by != postgres_version():
            raise WrongEnvironmentError(
                f"{self.folder} was made by Postgres {made_by}, this is {postgres_version()}: dump it with the older"
                " version of helicon and load it here, or choose another folder with --data FOLDER (HELICON_DATA)"
            )

    def _make_cluster(self, programs: Path) -> None:
        """Make it beside and rename it, so that half a cluster is never taken for a whole one."""
        half = self.data.place / "pg.unfinished"
        shutil.rmtree(half, ignore_errors=True)
        half = self.data.server_folder(half.name)
        password_file = self.data.place / "initdb.password"
        write_private(password_file, self.data.password(self.name))
        self.data.give(password_file)
        try:
            self._run(half, str(programs / "initdb"), *self._initdb_arguments(half, password_file))
        finally:
            password_file.unlink()
        # One user alone needs no network: the database is made before the server is first started.
        self._run(half, str(programs / "postgres"), "--single", "-D", str(half), "postgres", text=CREATE_DATABASE)
        half.rename(self.folder)

    def _initdb_arguments(self, folder: Path, password_file: Path) -> list[str]:
        arguments = [
            f"--pgdata={folder}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
        ]
        return arguments if self._durable else [*arguments, "--no-sync"]

    def _run(self, folder: Path, *arguments: str, text: str = "") -> None:
        done = run_to_end(
            Command(arguments, environ=ENVIRON, folder=folder, account=self.data.account), text=text, seconds=120
        )
        # `postgres --single` ends well also when a statement fails.
        if done.returncode != 0 or "ERROR:" in done.stdout:
            raise PartFailedError(f"the database can't be made: {' '.join(done.stdout.split())[-500:]}")


@contextmanager
def embedded_postgres(folder: Path, *, port: int | None = None, durable: bool = True) -> Generator[EmbeddedPostgres]:
    """A running Postgres whose data stay in `folder`."""
    server = EmbeddedPostgres(open_data_folder(folder), port=port, durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.close()
