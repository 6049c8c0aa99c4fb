"""Pages of long lists, `/record/list` and `/user/list`, with 1,000,000 records of 20,000 users: how long they take."""

import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import orjson
import psycopg
import uvloop

from bench.connection import open_connection
from bench.figures import Rows, percentile
from bench.processes import cpu_of, machine_cpu
from bench.response import BrokenResponseError
from bench.stage import Stage
from bench.systems.gateway import LoneGateway, gateway_over, running_servers
from bench.wires import Answer

NAME = "lists"
ANSWERS: tuple[Answer, ...] = ()
AT_ONCE = 20
PROCESSES = (1, 2)
MS = 1000
NOTHING_STREAMED = re.compile(rb"(?!)")
HEAVY = "user-1"
"""A user with a twentieth of all records, whose hundredth page is there."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in the database, which pages are asked for, and how many seconds each is watched."""

    users: int
    records: int
    pages: tuple[int, ...]
    seconds: float


FULL, QUICK = Size(20_000, 1_000_000, (1, 100), 4), Size(2000, 50_000, (1, 20), 0.5)

LISTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "records": ("/record/list", {}),
    "records, kept": ("/record/list", {"isDeleted": "0"}),
    "records, deleted": ("/record/list", {"isDeleted": "1"}),
    "records, commands": ("/record/list", {"record_type": "3"}),
    "records, commands and texts, deleted": ("/record/list", {"record_type": "0,3", "isDeleted": "1"}),
    "records of a user": ("/record/list", {"user_id": HEAVY}),
    "records of a user, commands, kept": ("/record/list", {"user_id": HEAVY, "record_type": "3", "isDeleted": "0"}),
    "users": ("/user/list", {}),
}
FILL = (
    (
        "INSERT INTO users (app_id, user_id, token, avail_token) "
        "SELECT a.id, 'user-' || n, 10000, 10000 FROM apps a, generate_series(1, {users}) n"
    ),
    (
        "INSERT INTO conversations (id, app_id, owner, surface, name) "
        "SELECT gen_random_uuid(), app_id, id, 'muse', '' FROM users"
    ),
    (
        "INSERT INTO messages "
        "(id, conversation_id, app_id, owner, record_type, query, answer, state, tokens, is_deleted) "
        "SELECT gen_random_uuid(), c.id, c.app_id, c.owner, CASE WHEN n % 10 = 0 THEN 'command' ELSE 'text' END, "
        "'Question ' || n, repeat('An answer of some words. ', 12), 'succeeded', n % 500, n % 7 = 0 "
        "FROM generate_series(1, {records}) n "
        "JOIN users u ON u.user_id = 'user-' || CASE WHEN n / 10 % 20 = 0 THEN 1 ELSE 1 + n % {users} END "
        "JOIN conversations c ON c.owner = u.id ORDER BY n"
    ),
    "VACUUM ANALYZE",
)


@dataclass
class _Seen:
    seconds: list[float] = field(default_factory=list[float])
    errors: Counter[str] = field(default_factory=Counter[str])
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    load_cpu: float = 0.0
    machine_cpu: float = 0.0


def measure(stage: Stage, rows: Rows) -> None:
    """One repeat: a filled database, and every list from one gateway process, then from two."""
    size = QUICK if stage.quick else FULL
    with tempfile.TemporaryDirectory(dir=stage.folder) as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        with running_servers(folder) as servers:
            with psycopg.connect(servers.postgres.url, autocommit=True) as connection:
                for statement in FILL:
                    connection.execute(statement.format(users=size.users, records=size.records).encode())
            for processes in PROCESSES:
                with gateway_over(folder, servers, processes=processes) as gateway:
                    roots = {"gateway": gateway.pid, "postgres": servers.postgres.pid}
                    _measure_gateway(rows, gateway, roots, processes, size)


def _measure_gateway(rows: Rows, gateway: LoneGateway, roots: Mapping[str, int], processes: int, size: Size) -> None:
    for words, (path, query) in LISTS.items():
        for page in size.pages:
            request = _request(gateway, path, {**query, "page": str(page)})
            uvloop.run(_watch(gateway, request, roots, size.seconds / 4))  # until every connection has made its plans
            seen = uvloop.run(_watch(gateway, request, roots, size.seconds))
            load = f"{words}, page {page}, {AT_ONCE} at once, {_in_words(processes)}"
            rows.add(NAME, "helicon", load, _figures(seen, size.seconds), seen.errors)
            print(f"  {load}: p95 {percentile(seen.seconds, 0.95) * MS:.1f} ms", flush=True)


def _in_words(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def _request(gateway: LoneGateway, path: str, query: Mapping[str, str]) -> bytes:
    lines = (
        f"GET {path}?{urlencode(query)} HTTP/1.1",
        f"Host: {gateway.address.host}:{gateway.address.port}",
        f"Authorization: Bearer {gateway.admin_key}",
    )
    return "\r\n".join([*lines, "", ""]).encode()


async def _watch(gateway: LoneGateway, request: bytes, roots: Mapping[str, int], seconds: float) -> _Seen:
    seen = _Seen()
    before, own, machine = _cpu(roots), time.process_time(), machine_cpu()
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_ask_until(gateway, request, seen, end) for _ in range(AT_ONCE)))
    seen.cpu = {part: used - before[part] for part, used in _cpu(roots).items()}
    seen.load_cpu, seen.machine_cpu = time.process_time() - own, machine_cpu() - machine
    return seen


def _cpu(roots: Mapping[str, int]) -> dict[str, float]:
    return {part: sum(cpu_of([root]).values()) for part, root in roots.items()}


async def _ask_until(gateway: LoneGateway, request: bytes, seen: _Seen, end: float) -> None:
    connection = await open_connection(gateway.address, NOTHING_STREAMED)
    while time.perf_counter() < end:
        try:
            exchange = await connection.ask(request)
        except (OSError, TimeoutError, BrokenResponseError) as error:
            seen.errors[f"{type(error).__name__}: {error}"[:200]] += 1
            break
        seen.seconds.append(exchange.ended - exchange.begun)
        if exchange.status != 200 or len(orjson.loads(exchange.body)["data"]["list"]) != 10:  # noqa: PLR2004 - a page
            seen.errors[f"{exchange.status}: {exchange.body[:100]!r}"] += 1
    connection.close()


def _figures(seen: _Seen, seconds: float) -> dict[str, float]:
    requests = max(len(seen.seconds), 1)
    figures = {
        "requests_per_second": requests / seconds,
        "others_cpu_share": (seen.machine_cpu - seen.load_cpu - sum(seen.cpu.values())) / seconds,
    }
    figures |= {f"cpu_{part}_ms_per_request": used / requests * MS for part, used in seen.cpu.items()}
    if seen.seconds:
        figures["p50_ms"] = percentile(seen.seconds, 0.5) * MS
        figures["p95_ms"] = percentile(seen.seconds, 0.95) * MS
    return figures
