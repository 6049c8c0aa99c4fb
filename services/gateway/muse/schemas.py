"""What the Muse API takes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.gateway.fields import FreeText, Name, UserId
from shared.contracts.mcp_servers import ServerName
from shared.store.apps import DEFAULT_APP


class Nothing(BaseModel):
    """No fields."""

    model_config = ConfigDict(frozen=True)


class SettingIn(BaseModel):
    """Which field of the live configuration: `type` is its section."""

    model_config = ConfigDict(frozen=True)

    type: Name
    key: Name


class ChangeIn(SettingIn):
    """A field of the live configuration and its new value."""

    value: Any


class McpServerIn(BaseModel):
    """Which MCP server."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[Name, Field(min_length=1, max_length=255)]


class McpDisableIn(McpServerIn):
    """Whether an MCP server is disabled."""

    disable: Literal["0", "1"]


class McpUpdateIn(BaseModel):
    """An MCP server and its configuration."""

    model_config = ConfigDict(frozen=True)

    name: ServerName
    document: dict[str, Any]


class CommunicateIn(BaseModel):
    """The fields of `/communicate`, from wherever they were sent; `app_id` is an app's name, for administrators."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    prompt: FreeText
    user_id: UserId
    app_id: Name = DEFAULT_APP

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_missing(cls, fields: dict[str, Any]) -> dict[str, Any]:
        for name in ("prompt", "user_id"):
            if not str(fields.get(name) or "").replace("\0", "").strip():
                raise ValueError(f"Missing {name} parameter")
        return {name: value for name, value in fields.items() if value not in (None, "")}
