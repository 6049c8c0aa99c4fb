"""Where and on what a run was made."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


def describe_machine() -> dict[str, Any]:
    """The machine, and how busy it was before we began."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": psutil.getloadavg()[0],
    }


def in_words(about: Mapping[str, Any]) -> str:
    """The machine and what ran on it, in a line."""
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']:g} GiB, {machine['system']},"
        f" Python {machine['python']}; {versions}; {about['repeats']} repeats{', quick' if about['quick'] else ''}"
    )


def commit() -> str:
    """Which commit is measured; with a "+" where files differ from it."""
    try:
        return subprocess.run(
            ("git", "describe", "--always", "--dirty=+"),  # noqa: S607 - git is wherever it is
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
