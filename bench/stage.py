"""What the scenarios work with: the systems that run, a folder for what they say, and how long to watch."""

import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.systems.demo import running_demo
from bench.systems.helicon import running_helicon
from bench.systems.litellm import running_litellm
from bench.systems.portkey import running_portkey
from bench.systems.system import System, UnavailableError
from bench.wires import Answer

Start = Callable[[Path, str, Iterable[Answer]], AbstractContextManager[System]]
STARTS: dict[str, Start] = {"helicon": running_helicon, "litellm": running_litellm, "portkey": running_portkey}
SYSTEMS = ("demo", *STARTS)


@dataclass(frozen=True)
class Stage:
    """All that runs.

    Args:
        folder: for logs and data; it is gone afterwards.
        demo: the upstream of all.
        peers: the other systems that run, by name.
        absent: why the others do not, by name.
        straight: whether the demo upstream itself is a line of the tables.
        quick: whether to watch shortly, to see that all works.
    """

    folder: Path
    demo: System
    peers: dict[str, System]
    absent: dict[str, str]
    straight: bool
    quick: bool


@contextmanager
def running_stage(names: Iterable[str], wanted: Iterable[Answer], *, quick: bool) -> Generator[Stage]:
    """Start the demo upstream and the systems of these names; one that can't be started is noted.

    Raises:
        UnavailableError: the demo upstream did not start.
    """
    names, wanted = list(names), list(wanted)
    with (
        tempfile.TemporaryDirectory(prefix="helicon-bench-", ignore_cleanup_errors=True) as temporary,
        ExitStack() as stack,
    ):
        folder = Path(temporary)
        folder.chmod(0o711)  # where we are root, Postgres runs as nobody and must get to its data
        demo = stack.enter_context(running_demo(folder))
        peers: dict[str, System] = {}
        absent: dict[str, str] = {}
        for name in (name for name in names if name in STARTS):
            print(f"starting {name}", flush=True)
            try:
                peers[name] = stack.enter_context(STARTS[name](folder, demo.address.url, wanted))
            except UnavailableError as error:
                absent[name] = " ".join(str(error).split())
                print(f"  {absent[name]}", flush=True)
        yield Stage(folder, demo, peers, absent, straight="demo" in names, quick=quick)
