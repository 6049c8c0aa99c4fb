"""The peers' own environments: installed once, into folders that git ignores, in the versions that `peers/` pins."""

import json
import re
import shutil
import subprocess
import venv
from pathlib import Path

from bench.systems.system import UnavailableError

HERE = Path(__file__).parent
PEERS = HERE / "peers"
ENVIRONMENTS = HERE / "environments"
INSTALL_SECONDS = 900
DONE = "installed"
"""A copy of what an environment was made from, left in it when it was complete."""


def python_environment(name: str) -> Path:
    """The virtual environment of `peers/NAME.txt`.

    Raises:
        UnavailableError: it can't be installed.
    """
    pinned = PEERS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    if _is_done(folder, pinned):
        return folder
    _begin(name, folder)
    venv.create(folder, with_pip=True)
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _install(name, (*pip, "-r", str(pinned)), folder)
    shutil.copy(pinned, folder / DONE)
    return folder


def node_environment(name: str) -> Path:
    """The folder with the `node_modules` of `peers/NAME/package-lock.json`.

    Raises:
        UnavailableError: it can't be installed.
    """
    lock = PEERS / name / "package-lock.json"
    folder = ENVIRONMENTS / name
    if _is_done(folder, lock):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("npm is not installed")
    _begin(name, folder)
    shutil.copytree(PEERS / name, folder)
    _install(name, (npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"), folder)
    shutil.copy(lock, folder / DONE)
    return folder


def version_of(name: str) -> str:
    """The version of a peer that is pinned."""
    package = PEERS / name / "package.json"
    if package.exists():
        return next(iter(json.loads(package.read_text("utf-8"))["dependencies"].values()))
    found = re.search(rf"^{name}(?:\[\w+\])?==(\S+)", (PEERS / f"{name}.txt").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else ""


def _is_done(folder: Path, made_from: Path) -> bool:
    done = folder / DONE
    return done.exists() and done.read_bytes() == made_from.read_bytes()


def _begin(name: str, folder: Path) -> None:
    print(f"installing {name} (once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    ENVIRONMENTS.mkdir(exist_ok=True)


def _install(name: str, command: tuple[str, ...], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{name} can't be installed: {error}") from error
    if done.returncode != 0:
        raise UnavailableError(f"{name} can't be installed: {done.stdout.strip()[-300:]}")
