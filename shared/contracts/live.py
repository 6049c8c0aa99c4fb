"""The live settings: what decides how users are treated and how models are called.

Each field says its default, range and meaning once; the environment (`HELICON_*`), the flags, the README's table and
what `/conf/update` takes are made from it. A field is here only when it has an effect.
"""

from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from shared.catalogue.catalogue import load_catalogue
from shared.contracts.live_fields import SECRET, SECRET_PARTS, HttpUrl, Key, Text, TextList
from shared.domain.errors import HeliconError
from shared.domain.secret_parts import has_mask, mask_parts, secrets_of_url
from shared.domain.secrets import is_mask, mask


def _known_provider(name: str) -> str:
    known = load_catalogue().providers
    if name not in known:
        raise ValueError(f"names no provider; known are: {', '.join(known)}")
    return name


class Section(BaseModel):
    """A section of the live configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Base(Section):
    """Who may chat, on which provider and model, and how much."""

    type: Annotated[str, AfterValidator(_known_provider)] = Field(
        default="openai", description="Provider in use; not set: the one with a key"
    )
    custom_url: HttpUrl = Field(
        default="", description="Base URL of the provider in use, in place of its own", json_schema_extra=SECRET_PARTS
    )
    openai_token: Key = Field(default="", description="Key of OpenAI", json_schema_extra=SECRET)
    anthropic_token: Key = Field(default="", description="Key of Anthropic", json_schema_extra=SECRET)
    deepseek_token: Key = Field(default="", description="Key of DeepSeek", json_schema_extra=SECRET)
    gemini_token: Key = Field(default="", description="Key of Google Gemini", json_schema_extra=SECRET)
    openrouter_token: Key = Field(default="", description="Key of OpenRouter", json_schema_extra=SECRET)
    aliyun_token: Key = Field(default="", description="Key of Aliyun DashScope", json_schema_extra=SECRET)
    volcengine_token: Key = Field(default="", description="Key of Volcengine Ark", json_schema_extra=SECRET)
    ollama_token: Key = Field(default="", description="Key of Ollama, where it asks for one", json_schema_extra=SECRET)
    vllm_token: Key = Field(default="", description="Key of vLLM, where it asks for one", json_schema_extra=SECRET)
    demo_token: Key = Field(
        default="", description="Key of the demo upstream, which takes any", json_schema_extra=SECRET
    )
    llm_proxy: HttpUrl = Field(
        default="", description="HTTP proxy for calls to providers", json_schema_extra=SECRET_PARTS
    )
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
    character: Text = Field(default="", max_length=100_000, description="System prompt, where the app has none")
    default_model: Text = Field(
        default="", max_length=255, description="Model of users and apps that chose none; empty: the provider's"
    )
    allowed_user_ids: TextList = Field(
        default=(), max_length=10_000, description="Users that /communicate serves; empty: all"
    )
    admin_user_ids: TextList = Field(default=(), max_length=10_000, description="Users free of allow-list and quota")


class Llm(Section):
    """How models choose their words; sent only where it differs from the provider's own default."""

    temperature: float = Field(default=0.7, ge=0, le=2, description="How freely words are chosen")
    top_p: float = Field(default=0.9, gt=0, le=1, description="Share of the likeliest words that is chosen from")
    max_tokens: int = Field(default=2048, ge=1, le=1_000_000, description="Longest answer, tokens")
    frequency_penalty: float = Field(default=0, ge=-2, le=2, description="Against words the more they were said")
    presence_penalty: float = Field(default=0, ge=-2, le=2, description="Against words that were said at all")
    stop: TextList = Field(default=(), max_length=16, description="Words that end an answer")
    log_probs: bool = Field(default=False, description="Ask the provider for the tokens' probabilities")
    top_log_probs: int = Field(default=0, ge=0, le=20, description="And for as many others at each place")

    @field_serializer("stop", when_used="json")
    def _nothing(self, stop: tuple[str, ...]) -> list[str] | None:
        """None at all is shown as null."""
        return list(stop) or None


class Audio(Section):
    """Speech."""


class Photo(Section):
    """Pictures."""


class Rag(Section):
    """The knowledge base."""


class Video(Section):
    """Videos."""


class LiveSettings(BaseModel):
    """The sections of the live configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Base = Base()
    audio: Audio = Audio()
    llm: Llm = Llm()
    photo: Photo = Photo()
    rag: Rag = Rag()
    video: Video = Video()

    def provider_key(self, provider: str) -> str:
        """The key of a provider, "" where there is none."""
        return getattr(self.base, f"{provider}_token", "")

    def with_change(self, place: "Place", value: object) -> "LiveSettings":
        """The settings with another value of one field.

        Raises:
            HeliconError: INVALID_PARAM, the value is of the wrong type or out of range.
        """
        kind = _kind_of(place.section)
        if isinstance(value, bool) and kind.model_fields[place.key].annotation is not bool:
            raise HeliconError.invalid(f"{place}: must not be true or false")
        section: Section = getattr(self, place.section)
        try:
            changed = kind.model_validate({**section.model_dump(), place.key: value})
        except ValidationError as error:
            words = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            raise HeliconError.invalid(f"{place}: {words}") from error
        return self.model_copy(update={place.section: changed})

    def value(self, place: "Place") -> Any:  # noqa: ANN401 - of any field
        """The value of a field, as JSON can write it; a secret's is in clear."""
        return getattr(self, place.section).model_dump(mode="json")[place.key]

    def shown(self) -> dict[str, dict[str, Any]]:
        """All values, as JSON can write them, secrets masked."""
        return {
            section: {key: Place(section, key).shown(value) for key, value in values.items()}
            for section, values in self.model_dump(mode="json").items()
        }


class Place(NamedTuple):
    """Where a field stands: its section and its key."""

    section: str
    key: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.section}.{self.key}"

    @property
    def secret(self) -> bool:
        """Whether its value has what nobody may see."""
        return self._mark in (SECRET, SECRET_PARTS)

    def shown(self, value: Any) -> Any:  # noqa: ANN401 - of any field
        """A value as it may be shown: of a secret, its mask."""
        if self._mark == SECRET_PARTS:
            return mask_parts(value, secrets_of_url(value))
        return mask(value) if self.secret else value

    def is_masked(self, value: object) -> bool:
        """Whether it is a secret's mask that is sent back, and not the secret."""
        if not isinstance(value, str) or not self.secret:
            return False
        return has_mask(value, secrets_of_url(value)) if self._mark == SECRET_PARTS else is_mask(value.strip())

    @property
    def _mark(self) -> object:
        return _kind_of(self.section).model_fields[self.key].json_schema_extra


def _kind_of(section: str) -> type[Section]:
    return cast("Section", getattr(DEFAULTS, section)).__class__


DEFAULTS = LiveSettings()
"""What holds where nobody says anything else."""
_OLD_NAMES = {Place("base", "allowed_telegram_user_ids"): Place("base", "allowed_user_ids")}
_LONGEST_SHOWN = 64
"""Characters of an unknown name that are repeated to whoever sent it."""


def find_place(section: str, key: str) -> Place:
    """The place of a field, also under an old name.

    Raises:
        HeliconError: INVALID_PARAM, there is no such section or field.
    """
    if section not in LiveSettings.model_fields:
        sections = ", ".join(LiveSettings.model_fields)
        raise HeliconError.invalid(f"type: {section[:_LONGEST_SHOWN]!r} is none of {sections}")
    named = Place(section, key)
    place = _OLD_NAMES.get(named, named)
    known = _kind_of(section).model_fields
    if place.key not in known:
        keys = ", ".join(known) or "none"
        raise HeliconError.invalid(f"key: {section} has no {key[:_LONGEST_SHOWN]!r}; known are: {keys}")
    return place
