"""What the scenarios of chats have in common: every system under the same load, one after the other."""

import uvloop

from bench.figures import Rows, percentile
from bench.load import Clients, Load, Seen
from bench.stage import Stage

MS = 1000


def measure_systems(stage: Stage, rows: Rows, scenario: str, load: Load) -> None:
    """One repeat: the demo upstream straight, then each system."""
    words = f"{load.at_once} at once"
    straight = measure_one(stage, "demo", load)
    if stage.straight:
        rows.add(scenario, "demo", words, figures_of(straight, load), straight.errors)
    for name in stage.peers:
        seen = measure_one(stage, name, load)
        figures = {**figures_of(seen, load), **_added(seen, straight), **system_figures(seen, load)}
        rows.add(scenario, name, words, figures, seen.errors)
    for name, why in stage.absent.items():
        rows.add_absent(scenario, name, why)


def measure_one(stage: Stage, name: str, load: Load) -> Seen:
    """One system under a load."""
    system = stage.demo if name == "demo" else stage.peers[name]
    seen = uvloop.run(Clients(system, load, stage.demo).run())
    pace = seen.chats / seen.seconds
    print(f"  {name}, {load.at_once} at once: {pace:.1f} chats/s, {seen.errors.total()} errors", flush=True)
    return seen


def figures_of(seen: Seen, load: Load) -> dict[str, float]:
    """What can be said of every system."""
    figures = {
        "chats_per_second": seen.chats / seen.seconds,
        "events_per_second": seen.events / seen.seconds,
        "load_cpu_share": seen.own_cpu / seen.seconds,
        "others_cpu_share": seen.others_cpu / seen.seconds,
    }
    if seen.chats:
        figures |= {
            "first_token_p50_ms": percentile(seen.firsts, 0.5) * MS,
            "first_token_p95_ms": percentile(seen.firsts, 0.95) * MS,
            "delay_p95_ms": (percentile(seen.lasts, 0.95) - load.answer.seconds) * MS,
        }
    return figures


def _added(seen: Seen, straight: Seen) -> dict[str, float]:
    if not seen.chats or not straight.chats:
        return {}
    return {
        f"added_first_token_p{share * 100:.0f}_ms": (
            percentile(seen.firsts, share) - percentile(straight.firsts, share)
        )
        * MS
        for share in (0.5, 0.95)
    }


def system_figures(seen: Seen, load: Load) -> dict[str, float]:
    """What can be said of a system whose processes count."""
    figures = {"memory_mib": sum(seen.memory.values())}
    figures |= {f"memory_{part}_mib": used for part, used in seen.memory.items()}
    if seen.chats:
        figures["cpu_ms_per_chat"] = sum(seen.cpu.values()) / seen.chats * MS
        figures["cpu_us_per_token"] = figures["cpu_ms_per_chat"] / load.answer.tokens * MS
        for part, seconds in seen.cpu.items():
            figures[f"cpu_{part}_ms_per_chat"] = seconds / seen.chats * MS
            figures[f"cpu_{part}_us_per_token"] = seconds / seen.chats / load.answer.tokens * MS * MS
    return figures
