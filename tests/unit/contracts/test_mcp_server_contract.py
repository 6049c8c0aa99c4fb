"""Which configurations of MCP servers there are, and why others are refused."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.contracts.mcp_servers import DEEPEST_DOCUMENT, LONGEST_DOCUMENT, McpServer, ServerName, parse_server
from shared.domain.errors import ErrorCode, HeliconError

NAMES = TypeAdapter(ServerName)
URL = {"url": "https://mcp.test/"}
PROGRAM = {"command": "uvx"}


def nested(levels: int) -> dict[str, Any]:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return {**URL, "x": value}


def refusal(document: dict[str, Any]) -> tuple[ErrorCode, str]:
    with pytest.raises(HeliconError) as refused:
        parse_server(document)
    return refused.value.code, refused.value.message


@pytest.mark.parametrize("name", ["time", "A", "7zip", "12306-mcp", "my_server-2", "a" * 32, "llm2", "a--b"])
def test_a_name_is_one_that_tools_can_be_called_after(name: str):
    assert NAMES.validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a__b",
        "_a",
        "a_",
        "-a",
        "a.b",
        "a/b",
        "a" * 33,
        "é",
        "时间",
        "a\n",
        "a\0",
        "llm",
        "LLM",
        None,
        1,
    ],
)
def test_another_name_is_none(name: object):
    with pytest.raises(ValidationError):
        NAMES.validate_python(name)


def test_what_is_not_said_has_its_default():
    assert parse_server(PROGRAM) == McpServer(
        type=None, command="uvx", args=[], env={}, url=None, headers={}, description="", disabled=False
    )


def test_null_and_nothing_mean_that_a_known_field_is_not_there():
    empty = {
        "type": None,
        "command": "",
        "args": None,
        "env": None,
        "headers": None,
        "description": "",
        "disabled": None,
    }
    server = parse_server({**empty, **URL, "unknown": None})
    assert server.model_dump(exclude_unset=True) == {**URL, "unknown": None}


def test_numbers_and_booleans_are_taken_as_texts_and_the_other_way_round():
    server = parse_server(
        {**PROGRAM, "args": ["--port", 80], "env": {"A": True, "B": 1.5, "C": -2}, "disabled": "true"}
    )
    assert (server.args, server.env, server.disabled) == (["--port", "80"], {"A": "true", "B": "1.5", "C": "-2"}, True)


@pytest.mark.parametrize("name", ["model_dump", "__class__", "__dict__", "self", "model_fields", "", "transport"])
def test_unknown_fields_are_kept_whatever_they_are_called(name: str):
    assert parse_server({**URL, name: {"a": [1, None]}}).model_dump(exclude_unset=True) == {
        **URL,
        name: {"a": [1, None]},
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "neither command"),
        ({"mcpServers": {"a": PROGRAM}}, "neither command"),
        ({"command": "", "url": None}, "neither command"),
        ({**PROGRAM, **URL}, "both there"),
        ({**URL, "type": "stdio"}, "type is stdio, which needs a command"),
        ({**PROGRAM, "type": "http"}, "type is http, which needs a url"),
        ({**PROGRAM, "type": "sse"}, "type is sse, which needs a url"),
        ({**URL, "type": "websocket"}, "type: is none of"),
        ({"command": "npx -y server"}, "command: is the name of a program alone"),
        ({"command": "npx "}, "command: is the name of a program alone"),
        ({"command": "/bin/a\nb"}, "command: must not have control characters"),
        ({"url": "ftp://mcp.test/"}, "url: must be like"),
        ({"url": "file:///etc/passwd"}, "url: must be like"),
        ({"url": "mcp.test/sse"}, "url: must be like"),
        ({"url": "https://"}, "url: must be like"),
        ({"url": "https://mcp.test:port/"}, "url: must be like"),
        ({"url": "https://mcp.test:99999/"}, "url: must be like"),
        ({"url": "https://mcp.test:0/"}, "url: must be like"),
        ({"url": "https://[mcp/"}, "url: must be like"),
        ({"url": "https://mcp.test/a b"}, "url: must be like"),
        ({"url": "https://mcp.test/\r\nX: y"}, "url: must be like"),
        ({**URL, "headers": {"X": "a\r\nY: b"}}, "headers: X: the value must be one line"),
        ({**URL, "headers": {"X": "a\nb"}}, "headers: X: the value must be one line"),
        ({**URL, "headers": {"X Y": "a"}}, "headers: 'X Y' can't be the name"),
        ({**URL, "headers": {"X\n": "a"}}, "can't be the name"),
        ({**URL, "headers": {"": "a"}}, "headers: '' can't be the name"),
        ({**URL, "headers": {"Ä": "a"}}, "headers: 'Ä' can't be the name"),
        ({**URL, "headers": {"x": "a", "X": "b"}}, "headers: a header stands twice"),
        ({**PROGRAM, "env": {"A=B": "a"}}, "env: 'A=B' can't be the name"),
        ({**PROGRAM, "env": {"": "a"}}, "env: '' can't be the name"),
    ],
)
def test_a_configuration_that_leads_to_no_server_is_unusable(document: dict[str, Any], words: str):
    code, message = refusal(document)
    assert code is ErrorCode.MCP_SERVER_UNUSABLE
    assert words in message


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"command": 1}, "command"),
        ({"command": ["uvx"]}, "command"),
        ({"command": "x" * 4097}, "command"),
        ({"url": True}, "url"),
        ({"url": "https://mcp.test/" + "x" * 4096}, "url"),
        ({**URL, "type": 5}, "type"),
        ({**URL, "type": ["sse"]}, "type"),
        ({**PROGRAM, "args": "-y"}, "args"),
        ({**PROGRAM, "args": {"0": "-y"}}, "args"),
        ({**PROGRAM, "args": ["-y", None]}, "args.1"),
        ({**PROGRAM, "args": [["-y"]]}, "args.0"),
        ({**PROGRAM, "env": ["A=b"]}, "env"),
        ({**PROGRAM, "env": {"A": None}}, "env.A"),
        ({**PROGRAM, "env": {"A": {"b": "c"}}}, "env.A"),
        ({**URL, "headers": "X: y"}, "headers"),
        ({**URL, "headers": {"X": ["a"]}}, "headers.X"),
        ({**URL, "description": 5}, "description"),
        ({**URL, "description": "x" * 10_001}, "description"),
        ({**URL, "disabled": "maybe"}, "disabled"),
        ({**URL, "disabled": -1}, "disabled"),
        ({**URL, "disabled": []}, "disabled"),
    ],
)
def test_a_field_of_the_wrong_form_is_named(document: dict[str, Any], where: str):
    code, message = refusal(document)
    assert code is ErrorCode.INVALID_PARAM
    assert message.startswith(f"{where}: ")


@pytest.mark.parametrize(
    "document",
    [
        {**PROGRAM, "args": ["a\0b"]},
        {**PROGRAM, "env": {"A\0": "b"}},
        {**URL, "x": "a\0b"},
        {**URL, "x": [{"a\0b": 1}]},
        {**URL, "x": "x" * LONGEST_DOCUMENT},
        nested(DEEPEST_DOCUMENT),
        nested(1000),
    ],
)
def test_what_can_not_be_kept_is_refused(document: dict[str, Any]):
    code, message = refusal(document)
    assert code is ErrorCode.INVALID_PARAM
    assert message.startswith("the server: ")


def test_text_that_only_looks_like_a_nul_and_what_is_just_deep_enough_are_kept():
    assert parse_server({**URL, "x": "\\u0000"}).model_dump()["x"] == "\\u0000"
    assert parse_server(nested(DEEPEST_DOCUMENT - 1))


@pytest.mark.parametrize(
    "document",
    [
        {**PROGRAM, "env": {"A": ["hunter2"]}},
        {**URL, "headers": {"A": "hunter2\r\n"}},
        {"url": "ftp://ann:hunter2@mcp.test"},
        {"command": "npx --token hunter2"},
        {"command": "npx", "url": "https://ann:hunter2@mcp.test"},
    ],
)
def test_a_refusal_shows_no_value(document: dict[str, Any]):
    assert "hunter2" not in refusal(document)[1]
