"""What is secret in the configuration of an MCP server, sealed one by one beside what may be shown.

Values of `env` and `headers` are secrets as a whole, `url` and `args` in part (`shared.domain.secret_parts`). Of the
fields that nobody here knows, all texts at or below a telling name are. Each has a place, such as `env.TOKEN`, `args.2`
or `/oauth/clientSecret`, and can be opened at that place of that server alone.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from shared.contracts.mcp_servers import McpServer
from shared.domain.errors import HeliconError
from shared.domain.secret_parts import has_mask, is_telling, mask_parts, secrets_of_arguments, secrets_of_url
from shared.store.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Concealed:
    """A configuration as it is kept: `shown` has masks where `sealed` has a secret, by its place."""

    shown: dict[str, Any]
    sealed: dict[str, str]


class _Text(NamedTuple):
    text: str
    secrets: list[slice]

    @property
    def shown(self) -> str:
        return mask_parts(self.text, self.secrets)


def conceal(sealer: Sealer, name: str, document: dict[str, Any], before: Concealed | None) -> Concealed:
    """Seal the secrets of a server; what is masked as `before` shows it keeps what was sealed at its place.

    Raises:
        HeliconError: INVALID_PARAM, a mask is not the one of what is stored there.
    """
    kept = before.sealed if before else {}
    masks = {place: found.text for place, found in _find(before.shown).items() if place in kept} if before else {}
    shown: dict[str, str] = {}
    sealed: dict[str, str] = {}
    for place, found in _find(document).items():
        shown[place] = found.shown
        if found.text == masks.get(place):
            shown[place], sealed[place] = found.text, kept[place]
        elif has_mask(*found) or found.text in masks.values():
            raise HeliconError.invalid(f"{place}: is masked, and not as what is stored there: send the value itself")
        elif found.shown != found.text:
            sealed[place] = sealer.seal(found.text, _purpose(name, place))
    return Concealed(_with(document, shown), sealed)


def reveal(sealer: Sealer, name: str, concealed: Concealed) -> dict[str, Any]:
    """The configuration with its secrets.

    Raises:
        WrongSecretKeyError: they were sealed with another secret key, or for another server.
    """
    opened = {place: sealer.open(sealed, _purpose(name, place)) for place, sealed in concealed.sealed.items()}
    return _with(concealed.shown, opened)


def _purpose(name: str, place: str) -> str:
    return f"mcp_servers/{name}/{place}"


def _find(document: dict[str, Any]) -> dict[str, _Text]:
    """The texts that may have secrets, by their places."""
    pairs = [(f"{field}.{key}", text) for field in ("env", "headers") for key, text in document.get(field, {}).items()]
    found = {place: _Text(text, [slice(0, len(text))]) for place, text in pairs}
    if "url" in document:
        found["url"] = _Text(document["url"], secrets_of_url(document["url"]))
    arguments = document.get("args", [])
    for index, parts in enumerate(secrets_of_arguments(arguments)):
        found[f"args.{index}"] = _Text(arguments[index], parts)
    for name in document.keys() - McpServer.model_fields.keys():
        for path, text in _texts(document[name], (name,)):
            if any(map(is_telling, path)):
                found[_pointer(path)] = _Text(text, [slice(0, len(text))])
    return found


def _texts(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts in a JSON value, with the names and numbers that lead to them."""
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in cast("dict[str, object]", value).items():
                yield from _texts(inner, (*path, name))
        case list():
            for index, inner in enumerate(cast("list[object]", value)):
                yield from _texts(inner, (*path, str(index)))
        case _:
            pass


def _pointer(path: Iterable[str]) -> str:
    """A path as a JSON pointer (RFC 6901)."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def _put(document: dict[str, Any], pointer: str, text: str) -> None:
    *path, last = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
    holder: Any = document
    for name in path:
        holder = holder[_key(holder, name)]
    holder[_key(holder, last)] = text


def _key(holder: object, name: str) -> int | str:
    return int(name) if isinstance(holder, list) else name


def _with(document: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The document with other texts at these places."""
    changed = copy.deepcopy(document)
    for place, text in texts.items():
        field, _, key = place.partition(".")
        match field:
            case _ if place.startswith("/"):
                _put(changed, place, text)
            case "url":
                changed[field] = text
            case "args":
                changed[field][int(key)] = text
            case _:
                changed[field][key] = text
    return changed
