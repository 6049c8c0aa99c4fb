"""A storm from its beginning to its verdict."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mortal import Mortal, running_mortal
from shared.bus.connection import open_redis
from shared.bus.leases import unsaid_runs
from shared.domain.errors import HeliconError
from shared.store.apps import create_app
from shared.store.keys import create_key
from stack import wait_for
from storm.clients import Client, Heard
from storm.killer import Killer, make_killer
from storm.plan import ChatPlan, Plan, make_plan
from storm.upstream import calls_by_question
from storm.verdict import FINAL, GRANT, Verdict, judge, kept_runs

CLIENTS_AT_ONCE = 25
KILL_EVERY = 5.0
LONGEST_LINE = 400
SETTLE_SECONDS = 90
"""In which everything must have its end when all clients have gone and everything runs again."""


class Outcome(NamedTuple):
    """What came of a storm. `complaints`: each violation with its run, the seed, and what processes said of the run."""

    summary: str
    complaints: str


def run_storm(seed: int, chats: int, every: float = KILL_EVERY) -> Outcome:
    """Have it, with a kill every so many seconds."""
    plan = make_plan(seed, chats)
    with running_mortal(HELICON_PING_SECONDS="2", HELICON_TOKEN_PER_USER=str(GRANT)) as mortal:
        killer = make_killer(mortal)
        try:
            for immortal in ("gateway", "worker"):
                mortal.stack.parts[immortal].stop()
            keys = _make_apps(mortal, plan)
            began = time.monotonic()
            heard = _chat(plan, keys, killer, every)
            seconds = time.monotonic() - began
            verdict = _judge(mortal, plan, killer, heard)
            return Outcome(_summary(plan, verdict, killer, seconds), _complaints(plan, verdict, killer))
        finally:
            killer.clear()


def _summary(plan: Plan, verdict: Verdict, killer: Killer, seconds: float) -> str:
    chats = sum(map(len, plan.clients))
    emptied = sum(kill.emptied for kill in killer.done)
    states = ", ".join(f"{count} {state}" for state, count in sorted(verdict.states.items()))
    return (
        f"storm: seed {plan.seed}, {chats} chats, {len(killer.done)} kills, {emptied} with Valkey's data, "
        f"in {seconds:.0f} s: {states}; "
        f"{verdict.asked_again} asked again, {verdict.replaced} told whole again; "
        f"{verdict.sent} tokens sent, {verdict.sent - verdict.paid} of them lost on the way"
    )


def _complaints(plan: Plan, verdict: Verdict, killer: Killer) -> str:
    if not verdict.wrong:
        return ""
    logs = [line for log in killer.logs() for line in log.splitlines()]
    lines = [f"seed {plan.seed}:"]
    for run, words in verdict.wrong:
        lines += [f"run {run}: {words}", *sorted(f"    {line[:LONGEST_LINE]}" for line in logs if run in line)]
    return "\n".join(lines)


def _make_apps(mortal: Mortal, plan: Plan) -> list[str]:
    with mortal.stack.database.write() as session:
        for shape, model in enumerate(plan.models):
            create_app(session, f"shape-{shape}", "chat", {"model": model})
        return [create_key(session, kind="app", app=f"shape-{shape}") for shape in range(len(plan.models))]


def _chat(plan: Plan, keys: list[str], killer: Killer, every: float) -> list[Heard]:
    """Let all clients chat in threads, and rage here meanwhile."""
    over: list[None] = []
    with ThreadPoolExecutor(CLIENTS_AT_ONCE) as threads:
        clients = [threads.submit(_be_client, killer.urls, keys, chats, over) for chats in plan.clients]
        try:
            killer.rage(plan.kills(), every, lambda: all(client.done() for client in clients))
        finally:
            over.append(None)
        return [heard for client in clients for heard in client.result()]


def _be_client(urls: list[str], keys: list[str], chats: tuple[ChatPlan, ...], over: list[None]) -> list[Heard]:
    client = Client(urls, keys, lambda: bool(over))
    try:
        return [client.have(chat) for chat in chats]
    finally:
        client.close()


def _judge(mortal: Mortal, plan: Plan, killer: Killer, heard: list[Heard]) -> Verdict:
    redis = open_redis(mortal.valkey.url, pool_size=1)
    database = mortal.stack.database

    def settled() -> bool:
        return all(run.state in FINAL for run in kept_runs(database)) and not unsaid_runs(redis)

    try:
        unsettled = None
        try:
            wait_for(_answering(settled), "everything is settled", SETTLE_SECONDS)
        except AssertionError as error:
            unsettled = f"{error}: {unsaid_runs(redis)}"
        verdict = judge(database, redis, heard, calls_by_question(mortal.stack.demo_url))
    finally:
        redis.close()
    verdict.expect(f"seed {plan.seed}", "settled", None, unsettled)
    verdict.expect(f"seed {plan.seed}", "parts that ended by themselves", [], killer.died)
    return verdict


def _answering(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, which does not hold either while Postgres or Valkey does not answer."""

    def holds() -> bool:
        try:
            return condition()
        except HeliconError:
            return False

    return holds
