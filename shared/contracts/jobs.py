"""What a run has to do, as the gateway decided it when the run began: the `job` column of its row."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.domain.runs import RecordType


class Sampling(BaseModel):
    """How a model chooses its words. None: not sent, the provider's own default holds."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Retries(BaseModel):
    """How often and after how many seconds (doubled each time) a call is tried again before its first token."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    times: int = Field(default=3, ge=0)
    interval: float = Field(default=0.1, ge=0)


class ChatJob(BaseModel):
    """One answer of a model to one question in a conversation.

    `answer_limit` and `context` are tokens; `history_turns` is how many earlier turns the model may be shown at most,
    `history_seconds` how old they may be (None: any age). Prices are for 1,000 tokens, as decimal strings.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)
    queue: ClassVar[str] = "chat"
    record_type: ClassVar[RecordType] = RecordType.TEXT

    kind: Literal["chat"] = "chat"
    provider: str
    model: str
    system_prompt: str = ""
    query: str
    sampling: Sampling = Sampling()
    answer_limit: int
    context: int
    history_turns: int
    history_seconds: int | None = None
    retries: Retries = Retries()
    prompt_price: str = "0"
    completion_price: str = "0"
    currency: str = "USD"


class BalanceJob(BaseModel):
    """What is left: of the user's `tokens`, as the gateway words it, and of the account at the provider."""

    model_config = ConfigDict(frozen=True)
    queue: ClassVar[str] = "default"
    record_type: ClassVar[RecordType] = RecordType.COMMAND

    kind: Literal["balance"] = "balance"
    provider: str
    lang: str
    tokens: str


class CommandJob(BaseModel):
    """A slash command that the gateway answered by itself."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)
    queue: ClassVar[str] = ""
    record_type: ClassVar[RecordType] = RecordType.COMMAND

    kind: Literal["command"] = "command"
    query: str


Job = Annotated[ChatJob | BalanceJob | CommandJob, Field(discriminator="kind")]
"""The job of any run. `queue` is where its workers take it from, `record_type` what its turn is counted as."""

_JOB: TypeAdapter[ChatJob | BalanceJob | CommandJob] = TypeAdapter(Job)


def parse_job(stored: Mapping[str, Any]) -> ChatJob | BalanceJob | CommandJob:
    """A job as its run's row has it.

    Raises:
        ValidationError: a newer version may have written it.
    """
    return _JOB.validate_python(stored)
