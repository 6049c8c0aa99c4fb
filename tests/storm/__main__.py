"""`make storm CHATS=2000 SEED=7`."""

import argparse
import random
import sys

from storm.storm import KILL_EVERY, run_storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="make storm", description=__doc__)
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--every", type=float, default=KILL_EVERY, help="seconds from one kill to the next")
    asked = parser.parse_args()
    print(f"storm: seed {asked.seed}, {asked.chats} chats", flush=True)
    outcome = run_storm(asked.seed, asked.chats, asked.every)
    print(outcome.summary)
    print(outcome.complaints)
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
