"""`python -m bench.profiling`: where gateway and worker spend their time under the load of `chat`, with py-spy.

What stays is text, `bench/profiles/PART.txt`: the functions by the share of samples that they were in.
"""

import argparse
import asyncio
import re
import shutil
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil
import uvloop

from bench.load import Clients, Load
from bench.machine import commit, describe_machine
from bench.processes import part_of, tree
from bench.scenarios.chat import ANSWER
from bench.stage import Stage, running_stage
from bench.systems.system import UnavailableError

PROFILES = Path(__file__).parent / "profiles"
PROFILED: dict[str, tuple[str, ...]] = {"gateway": (), "worker": ("--gil",)}
"""Parts, and how py-spy looks at them. The worker has hundreds of threads, most of them waiting: to walk through all
would halt it most of the time, so only the one that holds the interpreter's lock is looked at (no system calls)."""
SAMPLES_PER_SECOND = 200
WARM_SECONDS = 3
SHOWN = 45
_PLACE = re.compile(r"^(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)$")


def main() -> int:
    """Profile both parts at the same time; 1 where that can't be done."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiling", description=__doc__)
    parser.add_argument("--at-once", type=int, default=50, help="chats at once (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=15, help="how long to watch (default: %(default)s)")
    options = parser.parse_args()
    program = shutil.which("py-spy", path=sysconfig.get_path("scripts"))
    if program is None:
        print("bench: py-spy is not installed: make install-dev", file=sys.stderr)
        return 1
    try:
        with running_stage(["helicon"], [ANSWER], quick=False) as stage:
            load = Load(ANSWER, options.at_once, WARM_SECONDS, options.seconds + 2)
            texts = uvloop.run(_profile(stage, load, program, options.seconds))
    except UnavailableError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    PROFILES.mkdir(exist_ok=True)
    for part, text in texts.items():
        (PROFILES / f"{part}.txt").write_text(text, "utf-8")
        print(f"\n{text}")
    return 0


async def _profile(stage: Stage, load: Load, program: str, seconds: int) -> dict[str, str]:
    helicon = stage.peers.get("helicon")
    if helicon is None:
        raise UnavailableError(stage.absent["helicon"])
    clients = asyncio.create_task(Clients(helicon, load, stage.demo).run())
    await asyncio.sleep(WARM_SECONDS)
    raw = await asyncio.gather(
        *(
            _sample((program, "record", *how), _busiest(helicon.roots, part), stage.folder / f"{part}.raw", seconds)
            for part, how in PROFILED.items()
        )
    )
    seen = await clients
    machine = describe_machine()
    head = (
        f"{load.at_once} chats of {load.answer.tokens} tokens at once: {seen.chats / seen.seconds:.0f} chats/s while"
        f" py-spy looked on; {machine['cores']} x {machine['processor']}; commit {commit()}"
    )
    return {part: _render(part, head, lines) for part, lines in zip(PROFILED, raw, strict=True)}


async def _sample(command: Sequence[str], process: psutil.Process, file: Path, seconds: int) -> list[str]:
    """What py-spy saw of a process: stacks, the outermost frame first, each with how often it was seen."""
    sampler = await asyncio.create_subprocess_exec(
        *command,
        *("--pid", str(process.pid), "--duration", str(seconds), "--rate", str(SAMPLES_PER_SECOND)),
        *("--nonblocking", "--format", "raw", "--output", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await sampler.communicate()
    return _read(file, said)


def _read(file: Path, said: bytes) -> list[str]:
    if not file.exists():
        raise UnavailableError(f"py-spy: {said.decode('utf-8', 'replace').strip()[-300:]}")
    return file.read_text("utf-8").splitlines()


def _busiest(roots: Iterable[int], part: str) -> psutil.Process:
    """The process of a part that has used most CPU: not the one that only looks after it."""
    processes = [process for root in roots for process in tree(root) if part_of(process) == part]
    return max(processes, key=lambda process: process.cpu_times().user)


def _render(part: str, head: str, lines: Sequence[str]) -> str:
    inside, on_top = Counter[str](), Counter[str]()
    total = 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_short(frame) for frame in stack.split(";")]
        times = int(count)
        total += times
        on_top[frames[-1]] += times
        for frame in set(frames):
            inside[frame] += times
    sections = ((f"{part}: in the function itself", on_top), (f"{part}: in it or what it calls", inside))
    return "\n".join([head, *(line for title, counts in sections for line in _section(title, counts, total)), ""])


def _section(title: str, counts: Counter[str], total: int) -> list[str]:
    rows = [f"{count / total:7.1%}  {frame}" for frame, count in counts.most_common(SHOWN)]
    return ["", f"{title} (of {total} samples)", *rows]


def _short(frame: str) -> str:
    """A frame without its line, and without where packages lie on this machine."""
    place = _PLACE.match(frame)
    if place is None:
        return frame
    file = place["file"].rpartition("site-packages/")[2]
    return f"{place['function']}  {file.removeprefix(f'{Path.cwd()}/')}"


if __name__ == "__main__":
    sys.exit(main())
