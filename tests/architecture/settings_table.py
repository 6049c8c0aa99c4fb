"""Writes the README's tables of settings from the classes that read them: `make readme`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from shared.catalogue.catalogue import load_catalogue
from shared.config import PREFIX, GatewaySettings, LauncherSettings, Settings, WorkerSettings
from shared.contracts.live import Base, Llm
from shared.contracts.live_fields import SECRET

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
SECTIONS: list[tuple[str, type[BaseModel], tuple[type[BaseModel], ...]]] = [
    ("Every process", Settings, ()),
    ("Gateway", GatewaySettings, (Settings,)),
    ("Worker", WorkerSettings, (Settings,)),
    ("`helicon up`", LauncherSettings, (GatewaySettings, WorkerSettings)),
    ("Live: who may chat, on what, and how much", Base, ()),
    ("Live: how models choose their words", Llm, ()),
]


def tables() -> str:
    """All tables, in Markdown."""
    return "\n\n".join("\n".join(_table(*section)) for section in SECTIONS)


def with_tables(readme: str) -> str:
    """The README with the tables as they are now."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{tables()}\n{END}", readme, flags=re.DOTALL)


def _table(title: str, kind: type[BaseModel], elsewhere: tuple[type[BaseModel], ...]) -> Iterator[str]:
    yield f"**{title}**\n"
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    vendors = {f"{row.name}_token": row.key_env for row in load_catalogue().providers.values()}
    for name, field in kind.model_fields.items():
        if any(name in other.model_fields for other in elsewhere):
            continue
        default = "" if field.default is PydanticUndefined else _shown(field.default)
        also = f" (also `{vendors[name]}`)" if name in vendors else ""
        secret = "; secret" if field.json_schema_extra == SECRET else ""
        words = (field.description or name.replace("_", " ").capitalize()) + secret
        yield f"| `{PREFIX}{name.upper()}`{also} | {default} | {words} |"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    return f"`{value}`" if value not in ("", ()) else ""


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
