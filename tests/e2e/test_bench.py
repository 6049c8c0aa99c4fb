"""The benchmark still measures: a few chats through it, and no figure is asserted."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHAT_FIGURES = {
    "chats_per_second",
    "events_per_second",
    "first_token_p50_ms",
    "first_token_p95_ms",
    "others_cpu_share",
}
HELICON_FIGURES = CHAT_FIGURES | {
    "added_first_token_p50_ms",
    "added_first_token_p95_ms",
    "cpu_ms_per_chat",
    "cpu_us_per_token",
    "cpu_gateway_ms_per_chat",
    "cpu_worker_us_per_token",
    "cpu_postgres_ms_per_chat",
    "cpu_valkey_ms_per_chat",
    "memory_mib",
}


def test_the_benchmark_measures_chats_and_writes_what_it_saw(tmp_path: Path):
    file = tmp_path / "result.json"
    options = ("--only", "chat", "--systems", "demo,helicon", "--repeats", "1", "--quick", "--json", str(file))
    run = subprocess.run(
        [sys.executable, "-m", "bench", *options], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(file.read_text())
    rows = {(row["system"], row["load"]): row for row in result["rows"]}
    assert set(rows) == {(system, load) for system in ("demo", "helicon") for load in ("1 at once", "50 at once")}
    for (system, _), row in rows.items():
        assert row["errors"] == {}
        assert set(row["figures"]) >= (HELICON_FIGURES if system == "helicon" else CHAT_FIGURES)
        assert row["figures"]["chats_per_second"]["median"] > 0
    assert [target["target"] for target in result["targets"] if "chat, 50 at once" in target["target"]]
    assert "### chat" in run.stdout
