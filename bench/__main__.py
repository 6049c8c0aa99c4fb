"""`python -m bench`: measure Helicon and its peers, in one run on one machine."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.figures import Rows
from bench.machine import commit, describe_machine, in_words
from bench.report import report, tables, write_json
from bench.scenarios import chat, lists, paced, streams, worker
from bench.stage import SYSTEMS, Stage, running_stage
from bench.systems.system import UnavailableError

SCENARIOS = {module.NAME: module for module in (chat, paced, streams, worker, lists)}


def main() -> int:
    """Run the scenarios, print their tables and write JSON; 1 where nothing can be measured."""
    options = _options()
    rows = Rows()
    machine, measured = describe_machine(), commit()
    wanted = dict.fromkeys(answer for name in options.only for answer in SCENARIOS[name].ANSWERS)
    try:
        with running_stage(options.systems if wanted else [], wanted, quick=options.quick) as stage:
            for number in range(options.repeats):
                _repeat(stage, rows, options.only, f"{number + 1} of {options.repeats}")
            versions = {name: system.version for name, system in stage.peers.items()}
    except UnavailableError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    about = {
        "commit": measured,
        "machine": machine,
        "versions": versions,
        "repeats": options.repeats,
        "quick": options.quick,
    }
    path = write_json(report(rows, about), options.json)
    print(f"\n{in_words(about)}\n\n{tables(rows)}\n\n{path}")
    return 0


def _repeat(stage: Stage, rows: Rows, names: Sequence[str], words: str) -> None:
    for name in names:
        print(f"{name}, repeat {words}", flush=True)
        SCENARIOS[name].measure(stage, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_names(SCENARIOS), default=list(SCENARIOS), help="scenarios, joined with commas")
    parser.add_argument("--systems", type=_names(SYSTEMS), default=list(SYSTEMS), help="the same for systems")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small loads: to see that all works, not to measure")
    parser.add_argument("--json", type=Path, help="file to write (default: one in bench/results)")
    return parser.parse_args()


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    allowed = list(known)

    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return names

    return read


if __name__ == "__main__":
    sys.exit(main())
