"""What the Muse API takes."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.gateway.fields import FreeText, Name, UserId
from services.gateway.muse.fields import DEFAULT_PAGE_SIZE, Integer, Page, PageSize, RecordTypes, ZeroOrOne
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


class OfApp(BaseModel):
    """The app that an administrator acts in."""

    model_config = ConfigDict(frozen=True)

    app_id: Annotated[Name, BeforeValidator(lambda name: DEFAULT_APP if name in (None, "") else name)] = DEFAULT_APP


OptionalUserId = Annotated[UserId | None, BeforeValidator(lambda user: None if user == "" else user)]
MOST_ADDED = 10**15
"""Tokens that can be given or taken back at once."""
LONGEST_MODEL = 255


class TokensIn(BaseModel):
    """Tokens for a user."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    user_id: UserId
    token: Annotated[Integer, Field(ge=-MOST_ADDED, le=MOST_ADDED)]


class ModeIn(BaseModel):
    """The model that a user's chats shall run on."""

    model_config = ConfigDict(frozen=True)

    user_id: UserId
    mode: Annotated[Name, Field(min_length=1, max_length=LONGEST_MODEL)]


class Paged(BaseModel):
    """Which page of a list is wanted."""

    model_config = ConfigDict(frozen=True)

    page: Page = 1
    page_size: PageSize = Field(default=DEFAULT_PAGE_SIZE, validation_alias=AliasChoices("page_size", "pageSize"))

    @property
    def skip(self) -> int:
        """How many items stand before the page."""
        return (self.page - 1) * self.page_size


class UsersIn(Paged):
    """Which users are wanted."""

    user_id: OptionalUserId = None


class RecordsIn(UsersIn):
    """Which records are wanted; no `record_type` is all of them."""

    is_deleted: ZeroOrOne = Field(default=None, validation_alias=AliasChoices("is_deleted", "isDeleted"))
    record_type: RecordTypes = ()
