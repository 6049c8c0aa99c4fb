"""The invariants: what clients heard, what history and ledger hold, what the demo upstream sent, is one story."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from sqlalchemy import func, select

from services.demo import tokens
from services.gateway.streaming.errors import STATUSES
from shared.bus.event_log import BEYOND, is_fence, read_events
from shared.contracts.events import Closed, Failed, Finished, decode
from shared.domain.errors import ErrorCode
from shared.store.engine import Database
from shared.store.models import LedgerEntry, Message, Run, User
from storm.clients import Heard
from storm.upstream import Call

GRANT = 1_000_000
FINAL = {"succeeded", "failed", "stopped"}


@dataclass
class Verdict:
    """What was wrong, by run; and what is worth knowing."""

    wrong: list[tuple[str, str]] = field(default_factory=list)
    states: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    replaced: int = 0
    asked_again: int = 0
    paid: int = 0
    sent: int = 0

    def expect(self, run: object, what: str, expected: object, seen: object) -> None:
        if expected != seen:
            self.wrong.append((str(run), f"{what}: expected {expected!r}, seen {seen!r}"))

    def must(self, run: object, what: str, *, hold: object) -> None:
        if not hold:
            self.wrong.append((str(run), f"does not hold: {what}"))


@dataclass(frozen=True)
class KeptRun:
    """A run as Postgres has it."""

    id: Any
    state: str
    attempt: int
    reserved: int
    query: str
    message_state: str
    answer: str
    error_code: str | None
    tokens: int
    owner: int


_KEPT = select(
    Run.id,
    Run.state,
    Run.attempt,
    Run.reserved,
    Message.query,
    Message.state,
    Message.answer,
    Message.error_code,
    Message.tokens,
    Run.owner,
).join(Message, Message.id == Run.message_id)


def kept_runs(database: Database) -> list[KeptRun]:
    """All of them, in the order of asking."""
    with database.read() as session:
        return [KeptRun(*row) for row in session.execute(_KEPT.order_by(Message.created_at))]


def judge(database: Database, redis: Redis, heard: list[Heard], calls: dict[str, list[Call]]) -> Verdict:
    """Compare everything, once all is settled."""
    verdict = Verdict()
    runs: defaultdict[str, list[KeptRun]] = defaultdict(list)
    for run in kept_runs(database):
        runs[run.query].append(run)
        begun = run.error_code != ErrorCode.QUEUE_UNAVAILABLE  # else the client's next try is another run
        _judge_run(verdict, run, calls.get(run.query, []) if begun else [])
        _judge_events(verdict, run, redis)
    for chat in heard:
        _judge_client(verdict, chat, runs[chat.plan.query])
    _judge_ledger(verdict, database, [run for several in runs.values() for run in several])
    return verdict


def _judge_run(verdict: Verdict, run: KeptRun, calls: list[Call]) -> None:
    """Answer and tokens against what the upstream sent."""
    verdict.states[run.error_code or run.state] += 1
    verdict.expect(
        run.id, "final, and its message says the same", (True, run.state), (run.state in FINAL, run.message_state)
    )
    verdict.must(run.id, f"at most one call an attempt: {len(calls)} calls", hold=len(calls) <= run.attempt)
    verdict.asked_again += len(calls) > 1
    verdict.sent += sum(call.tokens_sent for call in calls)
    if not calls or not run.answer:
        verdict.expect(
            run.id, f"answer and tokens of a run that is {run.error_code}", ("", 0), (run.answer, run.tokens)
        )
        verdict.must(run.id, "a run without an answer did not succeed", hold=run.state != "succeeded")
        return
    call = calls[-1]
    verdict.paid += run.tokens - call.prompt_tokens
    if run.state == "succeeded":
        verdict.expect(run.id, "answer", call.sent, run.answer)
        verdict.expect(run.id, "the upstream sent all", (True, call.whole), (call.finished, call.sent))
        verdict.expect(run.id, "tokens paid", call.prompt_tokens + call.tokens_sent, run.tokens)
    else:
        verdict.expect(
            run.id, "partial answer is a beginning of what was sent", call.sent[: len(run.answer)], run.answer
        )
        paid = {call.prompt_tokens + tokens.count(run.answer)}
        if call.finished and run.answer == call.whole:
            paid.add(call.prompt_tokens + call.tokens_sent)
        verdict.must(run.id, f"{run.tokens} tokens paid for a part are one of {paid}", hold=run.tokens in paid)


def _judge_events(verdict: Verdict, run: KeptRun, redis: Redis) -> None:
    """The run's stream: one end, nothing behind it, no number twice."""
    entries = [entry for entry in read_events(redis, run.id) if not is_fence(entry)]
    if not entries:
        return  # it never came to a worker, or Valkey lost what it had not written to its file yet
    events = [decode(event) for _, event in entries]
    ends = [place for (place, _), event in zip(entries, events, strict=True) if isinstance(event, Finished | Failed)]
    verdict.expect(run.id, "ends in the stream", 1, len(ends))
    verdict.must(
        run.id,
        "the stream is closed behind its end",
        hold=isinstance(events[-1], Closed) and ends[-1:] == [entries[-2][0]],
    )
    numbers = [place.seq for place, _ in entries]
    verdict.expect(run.id, "numbers of events grow", sorted(set(numbers)), numbers)


def _judge_client(verdict: Verdict, heard: Heard, runs: list[KeptRun]) -> None:
    begun = [run for run in runs if run.error_code != ErrorCode.QUEUE_UNAVAILABLE]
    name = begun[-1].id if begun else heard.plan.query
    for words in heard.wrong:
        verdict.wrong.append((str(name), words))
    verdict.expect(name, "runs of the chat", 1, len(begun))
    if len(begun) != 1:
        return
    run = begun[0]
    verdict.must(name, "stopped only if somebody asked", hold=run.state != "stopped" or heard.stop_asked)
    if heard.plan.blocking:
        status = 200 if run.state != "failed" else STATUSES[ErrorCode(run.error_code)][0]
        verdict.expect(name, "status of the blocking answer", status, heard.status)
    else:
        end = "error" if run.state == "failed" else "message_end"
        verdict.expect(name, "end that the client heard", end, heard.end and heard.end["event"])
        _judge_frames(verdict, heard, name)
    forgotten = run.state == "failed" and not run.answer  # worker and events are lost: nobody knows what was made
    if heard.end is not None and not (heard.plan.blocking and heard.status != 200) and not forgotten:
        verdict.expect(name, "text that the client has", run.answer, heard.text)


def _judge_frames(verdict: Verdict, heard: Heard, name: object) -> None:
    ends = [frame for frame in heard.frames if frame.data and frame.data["event"] in {"message_end", "error"}]
    verdict.expect(name, "ends that the client heard", heard.frames[-1:], ends)
    numbers = [frame.id or 0 for frame in heard.frames]
    verdict.replaced += heard.replaced
    if heard.replaced or heard.last > BEYOND:
        verdict.expect(name, "numbers of the client's events grow", sorted(numbers), numbers)
    else:
        verdict.expect(name, "numbers of the client's events", list(range(1, len(numbers) + 1)), numbers)


def _judge_ledger(verdict: Verdict, database: Database, runs: list[KeptRun]) -> None:
    with database.read() as session:
        users = session.execute(select(User.id, User.token, User.avail_token)).all()
        sums = select(LedgerEntry.owner, func.sum(LedgerEntry.amount)).group_by(LedgerEntry.owner)
        totals = {owner: int(total) for owner, total in session.execute(sums)}
        entry = select(LedgerEntry.run_id, LedgerEntry.kind, LedgerEntry.amount, LedgerEntry.tokens)
        rows = session.execute(entry.order_by(LedgerEntry.id))
        entries: defaultdict[Any, list[tuple[str, int, int]]] = defaultdict(list)
        for run, kind, amount, count in rows:
            entries[run].append((kind, amount, count))
    for user, granted, left in users:
        verdict.expect(f"user {user}", "ledger's sum equals the column", totals[user], left)
        paid = sum(run.tokens for run in runs if run.owner == user)
        verdict.expect(f"user {user}", "tokens left", granted - paid, left)
    for run in runs:
        settled = ("settle", run.reserved - run.tokens, run.tokens) if run.tokens else ("refund", run.reserved, 0)
        verdict.expect(run.id, "ledger", [("reserve", -run.reserved, 0), settled], entries[run.id])
