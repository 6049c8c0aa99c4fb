"""The settings of an app, as they are stored with it and edited by `helicon app` and the administration."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.domain.inputs import InputField

MOST_REQUESTS = 100_000
"""The highest rate limit: Redis keeps the time of each of these requests."""


class FormField(BaseModel):
    """A field of the input form; `max_length` counts characters."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    type: Literal["text-input", "paragraph", "select"] = "text-input"
    label: str = ""
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    required: bool = False
    max_length: Annotated[int, Field(ge=1, le=100_000)] | None = None
    default: str = ""
    options: tuple[str, ...] = ()

    def as_input_field(self) -> InputField:
        """The same, as the domain knows it."""
        label = self.label or self.variable
        return InputField(self.type, label, self.variable, self.required, self.max_length, self.default, self.options)


class AppSettings(BaseModel):
    """What an app decides for its chats. None or "": what the live configuration says.

    Prices are for 1,000 tokens, in `currency`.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    provider: str = Field(default="", description="Provider of the model; empty: the one in use")
    model: str = Field(default="", description="Model of the app's chats; empty: the default model")
    prompt: str = Field(default="", max_length=100_000, description="System prompt, with {{variables}}")
    form: tuple[FormField, ...] = Field(default=(), max_length=50, description="Input form, a list of fields")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Longest answer, tokens"
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: tuple[str, ...] | None = Field(default=None, max_length=16)
    token_per_user: Annotated[int, Field(ge=0, le=10**15)] | None = Field(
        default=None, description="Tokens granted to a new user; 0 switches quota off"
    )
    rate_per_key: Annotated[int, Field(ge=0, le=MOST_REQUESTS)] | None = Field(
        default=None, description="Prompts within HELICON_RATE_SECONDS with one key; 0: any number"
    )
    rate_per_user: Annotated[int, Field(ge=0, le=MOST_REQUESTS)] | None = Field(
        default=None, description="Prompts within HELICON_RATE_SECONDS of one user; 0: any number"
    )
    max_user_chat: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0, description="Chats of a user at once (/v1); 0: any number"
    )
    prompt_price: Annotated[Decimal, Field(ge=0)] | None = None
    completion_price: Annotated[Decimal, Field(ge=0)] | None = None
    currency: str = Field(default="USD", min_length=3, max_length=3)

    @model_validator(mode="after")
    def _variables_are_unique(self) -> "AppSettings":
        names = [field.variable for field in self.form]
        if len(names) != len(set(names)):
            raise ValueError("form: a variable is declared twice")
        return self
