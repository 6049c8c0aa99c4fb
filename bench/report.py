"""What a run says: tables on the screen, everything in JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import Figure, Row, Rows
from bench.targets import judge_all, ratios

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "chats_per_second": "chats/s",
    "events_per_second": "events/s",
    "first_token_p50_ms": "first token p50, ms",
    "added_first_token_p50_ms": "added p50, ms",
    "added_first_token_p95_ms": "added p95, ms",
    "delay_p95_ms": "delay p95, ms",
    "cpu_ms_per_chat": "CPU/chat, ms",
    "cpu_worker_us_per_token": "worker CPU/token, us",
    "cpu_us_per_event": "CPU/event, us",
    "events_lost": "events lost",
    "opened_per_second": "opened/s",
    "lag_p50_ms": "lag p50, ms",
    "lag_p95_ms": "lag p95, ms",
    "memory_kib_per_stream": "memory/stream, KiB",
    "worker_rss_mb": "worker RSS, MB",
    "memory_mib": "memory, MiB",
    "requests_per_second": "requests/s",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "cpu_gateway_ms_per_request": "gateway CPU/request, ms",
    "cpu_postgres_ms_per_request": "Postgres CPU/request, ms",
    "others_cpu_share": "others' CPU, cores",
}
"""The figures that stand in tables, in this order, and their headings; JSON has the others too."""
PARTS = ("gateway", "worker", "postgres", "valkey", "other")


def report(rows: Rows, about: Mapping[str, Any]) -> dict[str, Any]:
    """All of a run, as it is written into JSON."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "rows": [_row(row) for row in rows.all()],
        "ratios": ratios(rows),
        "targets": judge_all(rows),
    }


def write_json(document: Mapping[str, Any], path: Path | None) -> Path:
    """Write a run's report, to `path` or under the time of its end."""
    if path is None:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{document['at'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return path


def tables(rows: Rows) -> str:
    """The tables of a run in Markdown: medians, with ranges behind them where there are several repeats."""
    scenarios = dict.fromkeys(row.scenario for row in rows.all())
    parts = [_scenario(name, [row for row in rows.all() if row.scenario == name]) for name in scenarios]
    wrong = [[f"{row.scenario}, {row.load}", row.system, *_often(row)] for row in rows.all() if row.errors]
    if wrong:
        parts.append(_table("Errors", ["load", "system", "times", "the most frequent"], wrong))
    by_part = [_parts_of(row) for row in rows.all() if row.system == "helicon" and "cpu_ms_per_chat" in row.figures]
    if by_part:
        parts.append(_table("Helicon's CPU by part, ms a chat", ["load", *PARTS], by_part))
    if compared := ratios(rows):
        lines = [[f"{row['scenario']}, {row['load']}", row["peer"], *_shown(row)] for row in compared]
        parts.append(
            _table("Helicon divided by", ["load", "peer", "chats/s", "CPU/chat", "first p50", "memory"], lines)
        )
    if judged := judge_all(rows):
        lines = [
            [row["target"], row["wanted"], _number(row["measured"]), "reached" if row["reached"] else "NOT reached"]
            for row in judged
        ]
        parts.append(_table("Figures to reach", ["figure", "wanted", "measured", ""], lines))
    return "\n\n".join(parts)


def _row(row: Row) -> dict[str, Any]:
    figures = {
        name: {"median": figure.median, "low": figure.low, "high": figure.high, "values": list(figure.values)}
        for name, figure in row.figures.items()
    }
    return {
        "scenario": row.scenario,
        "system": row.system,
        "load": row.load,
        "figures": figures,
        "errors": row.errors,
        "absent": row.absent,
    }


def _scenario(name: str, rows: Sequence[Row]) -> str:
    names = [column for column in COLUMNS if any(column in row.figures for row in rows)]
    lines: list[list[str]] = []
    for row in rows:
        if row.absent:
            lines.append(["", row.system, f"not measured: {row.absent}"])
        else:
            errors = sum(row.errors.values())
            lines.append([row.load, row.system, *(_figure(row.figures.get(column)) for column in names), str(errors)])
    return _table(name, ["load", "system", *(COLUMNS[column] for column in names), "errors"], lines)


def _parts_of(row: Row) -> list[str]:
    figures = (row.figures.get(f"cpu_{part}_ms_per_chat") for part in PARTS)
    return [f"{row.scenario}, {row.load}", *(_figure(figure) for figure in figures)]


def _often(row: Row) -> list[str]:
    words, times = max(row.errors.items(), key=lambda item: item[1])
    return [str(times), words.replace("|", " ").replace("\n", " ")]


def _shown(row: Mapping[str, Any]) -> list[str]:
    names = ("chats_per_second", "cpu_ms_per_chat", "first_token_p50_ms", "memory_mib")
    return [_number(row[name]) if name in row else "" for name in names]


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if len(figure.values) == 1:
        return _number(figure.median)
    return f"{_number(figure.median)} ({_number(figure.low)}-{_number(figure.high)})"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2  # noqa: PLR2004 - three figures
    return f"{value:.{digits}f}"


def _table(title: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    padded = [[*line, *[""] * (len(head) - len(line))] for line in lines]
    widths = [max(len(line[column]) for line in [list(head), *padded]) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [list(head), rule, *padded]
    ]
    return "\n".join([f"### {title}", "", *drawn])
