"""The live settings: what decides how users are treated and how models are called.

Each field says its default, range and meaning once; the environment (`HELICON_*`), the flags and the README's table
are made from it. A field is here only when it has an effect.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _comma_list(value: object) -> object:
    """Take "a,b" for a list; blanks and empty items are dropped."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]
SECRET: dict[str, Any] = {"secret": True}
"""Marks a field that is masked wherever it is shown."""


class Base(BaseModel):
    """Who may chat, on which provider and model, and how much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(default="openai", description="Provider in use; not set: the one with a key")
    custom_url: str = Field(default="", description="Base URL of the provider in use, in place of its own")
    openai_token: str = Field(default="", description="Key of OpenAI", json_schema_extra=SECRET)
    anthropic_token: str = Field(default="", description="Key of Anthropic", json_schema_extra=SECRET)
    deepseek_token: str = Field(default="", description="Key of DeepSeek", json_schema_extra=SECRET)
    gemini_token: str = Field(default="", description="Key of Google Gemini", json_schema_extra=SECRET)
    openrouter_token: str = Field(default="", description="Key of OpenRouter", json_schema_extra=SECRET)
    aliyun_token: str = Field(default="", description="Key of Aliyun DashScope", json_schema_extra=SECRET)
    volcengine_token: str = Field(default="", description="Key of Volcengine Ark", json_schema_extra=SECRET)
    ollama_token: str = Field(default="", description="Key of Ollama, where it asks for one", json_schema_extra=SECRET)
    vllm_token: str = Field(default="", description="Key of vLLM, where it asks for one", json_schema_extra=SECRET)
    demo_token: str = Field(
        default="", description="Key of the demo upstream, which takes any", json_schema_extra=SECRET
    )
    llm_proxy: str = Field(default="", description="HTTP proxy for calls to providers")
    lang: Literal["en", "zh", "ru"] = Field(default="en", description="Language of the commands' answers")
    token_per_user: int = Field(
        default=10_000, ge=0, le=10**15, description="Grant of a new user; 0 switches quota off"
    )
    max_user_chat: int = Field(
        default=2, ge=0, le=10_000, description="Chats of a user at once (Muse API); 0: any number"
    )
    max_qa_pair: int = Field(default=100, ge=0, le=10_000, description="Earlier turns that a model is shown at most")
    context_expire_time: int = Field(
        default=86_400, ge=1, le=10**9, description="Age of turns a model is shown, s (Muse API)"
    )
    llm_retry_times: int = Field(default=3, ge=0, le=20, description="Further tries of a call before its first token")
    llm_retry_interval: int = Field(
        default=100, ge=0, le=60_000, description="Wait before the first of them, ms; doubled each"
    )
    character: str = Field(default="", max_length=100_000, description="System prompt, where the app has none")
    default_model: str = Field(default="", description="Model of users and apps that chose none; empty: the provider's")
    allowed_user_ids: CommaList = Field(default=(), description="Users that /communicate serves; empty: all")
    admin_user_ids: CommaList = Field(default=(), description="Users free of allow-list and quota")


class Llm(BaseModel):
    """How models choose their words; sent only where it differs from the provider's own default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.7, ge=0, le=2, description="How freely words are chosen")
    top_p: float = Field(default=0.9, gt=0, le=1, description="Share of the likeliest words that is chosen from")
    max_tokens: int = Field(default=2048, ge=1, le=1_000_000, description="Longest answer, tokens")
    frequency_penalty: float = Field(default=0, ge=-2, le=2, description="Against words the more they were said")
    presence_penalty: float = Field(default=0, ge=-2, le=2, description="Against words that were said at all")
    stop: CommaList = Field(default=(), max_length=16, description="Words that end an answer")


class LiveSettings(BaseModel):
    """The sections of the live configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Base = Base()
    llm: Llm = Llm()

    def provider_key(self, provider: str) -> str:
        """The key of a provider, "" where there is none."""
        return getattr(self.base, f"{provider}_token", "")
