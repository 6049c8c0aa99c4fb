"""What a system's processes take: CPU by part, and memory, over the whole tree below its first process."""

from collections import defaultdict
from collections.abc import Iterable

import psutil

MIB = 1024 * 1024
PARTS = {"services.gateway": "gateway", "services.worker": "worker", "postgres": "postgres", "valkey": "valkey"}
"""Which word of a command line tells Helicon's parts apart; what has none of them is `other`."""


def tree(root: int) -> list[psutil.Process]:
    """The process and all below it."""
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def cpu_of(roots: Iterable[int]) -> dict[str, float]:
    """CPU seconds by part until now, with those of children that have ended."""
    seconds: dict[str, float] = defaultdict(float)
    for process in _all(roots):
        try:
            part, times = part_of(process), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds[part] += times.user + times.system + times.children_user + times.children_system
    return dict(seconds)


def memory_of(roots: Iterable[int]) -> dict[str, float]:
    """Memory in MiB by part: pages that processes share are counted once, where the system tells (Linux)."""
    used: dict[str, float] = defaultdict(float)
    for process in _all(roots):
        try:
            used[part_of(process)] += own_memory(process) / MIB
        except psutil.NoSuchProcess:
            continue
    return dict(used)


def rss_of(roots: Iterable[int]) -> dict[str, float]:
    """Bytes in memory by part, as `ps` and `top` show them: pages that are shared count for each process."""
    used: dict[str, float] = defaultdict(float)
    for process in _all(roots):
        try:
            used[part_of(process)] += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return dict(used)


def own_memory(process: psutil.Process) -> int:
    """Bytes that a process has, with its part of what it shares."""
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return process.memory_info().rss
    return getattr(full, "pss", full.rss)


def part_of(process: psutil.Process) -> str:
    """Which part of Helicon a process is."""
    words = [*process.cmdline(), process.name()]
    return next((part for word, part in PARTS.items() if any(word in given for given in words)), "other")


def machine_cpu() -> float:
    """CPU seconds that everything on the machine has used until now."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0)


def _all(roots: Iterable[int]) -> list[psutil.Process]:
    return [process for root in roots for process in tree(root)]
