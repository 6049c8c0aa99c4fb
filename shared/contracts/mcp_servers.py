"""The configuration of MCP servers, `SERVER` of `spec/muse.md`: the entries of the familiar file of MCP clients.

What has the wrong form is INVALID_PARAM; what is well-formed and can't lead to a server is MCP_SERVER_UNUSABLE.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.domain.errors import ErrorCode, HeliconError

LONGEST_NAME = 32
"""Characters: providers take names of tools of up to 64, and a server's tools are called `server__tool`."""
LONGEST_DOCUMENT = 64 * 1024
"""Bytes of JSON."""
DEEPEST_DOCUMENT = 20
"""Levels of lists and objects."""
PLAIN_MODEL = "llm"
"""The agent that is always there, and no server."""

_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNUSABLE_IN_URL = re.compile(r"[\s\x00-\x1f\x7f]")


def _server_name(name: str) -> str:
    if len(name) > LONGEST_NAME or not _SERVER_NAME.fullmatch(name):
        raise ValueError(
            f"may have {LONGEST_NAME} letters, digits, '-' and '_' at most, and '_' only one at a time between others"
        )
    if name.lower() == PLAIN_MODEL:
        raise ValueError(f"{PLAIN_MODEL!r} is the plain model's own name")
    return name


def _transport(value: object) -> object:
    if not isinstance(value, str):
        return value
    known = {"stdio": "stdio", "sse": "sse", "http": "http", "streamablehttp": "http"}
    kind = known.get(re.sub(r"[-_ ]", "", value).lower())
    if kind is None:
        raise ValueError("is none of stdio, sse, http")
    return kind


def _program(command: str) -> str:
    if not command.startswith("/") and re.search(r"\s", command):
        raise ValueError("is the name of a program alone: its arguments belong into args")
    if _CONTROL.search(command):
        raise ValueError("must not have control characters")
    return command


def _reachable(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _UNUSABLE_IN_URL.search(url):
        raise ValueError("must be like https://host:port/path")
    return url


def _as_text(value: object) -> object:
    """A number or a boolean as JSON writes it."""
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else value


ServerName = Annotated[str, AfterValidator(_server_name)]
"""What a server is called. There is one way to read `server__tool`, and providers take it."""

Transport = Annotated[Literal["stdio", "sse", "http"], BeforeValidator(_transport)]
Text = Annotated[str, BeforeValidator(_as_text)]


class McpServer(BaseModel):
    """How a server is reached: by running a program, or by a URL.

    `type` None: `command` means stdio; `url` means streamable HTTP, and SSE where the server does not speak it. Fields
    that are unknown here are kept; null and "" mean that a field is not there.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="allow")

    type: Transport | None = None
    command: Annotated[str, Field(max_length=4096), AfterValidator(_program)] | None = None
    args: list[Text] = Field(default_factory=list)
    env: dict[str, Text] = Field(default_factory=dict)
    url: Annotated[str, Field(max_length=4096), AfterValidator(_reachable)] | None = None
    headers: dict[str, Text] = Field(default_factory=dict)
    description: str = Field(default="", max_length=10_000)
    disabled: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value for name, value in fields.items() if value not in (None, "") or name not in cls.model_fields
        }

    @field_validator("env")
    @classmethod
    def _variables_have_names(cls, env: dict[str, str]) -> dict[str, str]:
        for name in env:
            if not name or "=" in name or _CONTROL.search(name):
                raise ValueError(f"{name!r} can't be the name of a variable")
        return env

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} can't be the name of a header")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"{name}: the value must be one line, without control characters")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header stands twice")
        return headers

    @model_validator(mode="after")
    def _has_one_way_in(self) -> "McpServer":
        if self.command is not None and self.url is not None:
            raise ValueError("command and url are both there: a server is a program or a URL")
        if self.command is None and self.url is None:
            raise ValueError("neither command (a program) nor url is there")
        if self.type is not None and (self.type == "stdio") != (self.command is not None):
            raise ValueError(f"type is {self.type}, which needs {'a command' if self.type == 'stdio' else 'a url'}")
        return self


def parse_server(document: dict[str, Any]) -> McpServer:
    """The server that a JSON object describes.

    Raises:
        HeliconError: INVALID_PARAM, naming the field whose form is wrong; MCP_SERVER_UNUSABLE, saying why.
    """
    _check_size(document)
    try:
        return McpServer.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        code = ErrorCode.MCP_SERVER_UNUSABLE if first["type"] == "value_error" else ErrorCode.INVALID_PARAM
        raise HeliconError(code, f"{where}: {words}" if where else words) from error


def _check_size(document: dict[str, Any]) -> None:
    for text in _texts(document):
        if "\0" in text:
            raise HeliconError.invalid("the server: must not have a NUL character")
    if len(orjson.dumps(document)) > LONGEST_DOCUMENT:
        raise HeliconError.invalid(f"the server: has more than {LONGEST_DOCUMENT} bytes")


def _texts(document: dict[str, Any]) -> Iterator[str]:
    """All names and texts of a JSON object."""
    level: list[object] = [document]
    for _ in range(DEEPEST_DOCUMENT):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                fields = cast("dict[str, object]", value)
                yield from fields
                inner += fields.values()
            elif isinstance(value, list):
                inner += cast("list[object]", value)
            elif isinstance(value, str):
                yield value
        level = inner
    if any(isinstance(value, dict | list) for value in level):
        raise HeliconError.invalid(f"the server: is nested more than {DEEPEST_DOCUMENT} levels deep")
    yield from (value for value in level if isinstance(value, str))
