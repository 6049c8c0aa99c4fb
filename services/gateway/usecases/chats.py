"""What a chat is to be: the app's settings over the live ones, and the model that they lead to."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.catalogue.catalogue import Catalogue, Model
from shared.contracts.apps import AppSettings
from shared.contracts.jobs import ChatJob, Retries, Sampling
from shared.contracts.live import LiveSettings, Llm
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.inputs import check_inputs, fill_prompt
from shared.domain.runs import Surface
from shared.store.apps import AppRecord

MESSAGE_OVERHEAD = 8
"""Tokens that a message costs beside its text, at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks. `conversation` None: a new one, or the current one on the Muse surface."""

    app: AppRecord
    user: str
    surface: Surface
    query: str
    inputs: Mapping[str, object]
    conversation: UUID | None = None


@dataclass(frozen=True, slots=True)
class PreparedChat:
    """A question ready to be run. `bound`: the most it may cost in tokens, without the earlier turns."""

    job: ChatJob
    inputs: dict[str, str]
    bound: int
    grant: int
    quota: bool


class Chats:
    """Prepares chats.

    Args:
        live: the live settings.
        catalogue: providers and models.
        urls: base URL of each provider.
    """

    def __init__(self, live: LiveSettings, catalogue: Catalogue, urls: Mapping[str, str]) -> None:
        self._live = live
        self._catalogue = catalogue
        self._urls = urls

    @property
    def live(self) -> LiveSettings:
        """The live settings in force."""
        return self._live

    def prepare(self, question: Question) -> PreparedChat:
        """The job of a question.

        Raises:
            HeliconError: INVALID_PARAM, the inputs don't fit the form; APP_UNAVAILABLE, MODEL_UNSUPPORTED or
                NO_PROVIDER_KEY, no model can be asked.
        """
        settings = question.app.settings
        inputs = check_inputs([field.as_input_field() for field in settings.form], question.inputs)
        model = self.model(settings)
        base, llm = self._live.base, self._live.llm
        prompt = fill_prompt(settings.prompt or base.character, inputs)
        answer_limit = min(settings.max_tokens or llm.max_tokens, model.answer)
        job = ChatJob(
            provider=model.provider,
            model=model.name,
            system_prompt=prompt,
            query=question.query,
            sampling=_sampling(settings, llm),
            answer_limit=answer_limit,
            context=model.context,
            history_turns=base.max_qa_pair,
            history_seconds=base.context_expire_time if question.surface is Surface.MUSE else None,
            retries=Retries(times=base.llm_retry_times, interval=base.llm_retry_interval / 1000),
            prompt_price=str(settings.prompt_price if settings.prompt_price is not None else model.prompt_price),
            completion_price=str(
                settings.completion_price if settings.completion_price is not None else model.completion_price
            ),
            currency=model.currency if settings.prompt_price is None else settings.currency,
        )
        grant = base.token_per_user if settings.token_per_user is None else settings.token_per_user
        quota = grant > 0 and not (question.surface is Surface.MUSE and question.user in base.admin_user_ids)
        # A token is never shorter than a byte, so bytes are an upper bound that costs nothing to count.
        new_bytes = len(prompt.encode()) + len(question.query.encode())
        return PreparedChat(job, inputs, new_bytes + 3 * MESSAGE_OVERHEAD + answer_limit, grant, quota)

    def model(self, settings: AppSettings) -> Model:
        """The model that an app's chats run on.

        Raises:
            HeliconError: APP_UNAVAILABLE, MODEL_UNSUPPORTED or NO_PROVIDER_KEY.
        """
        base = self._live.base
        provider = self._catalogue.provider(settings.provider or base.type)
        in_use = provider.name == base.type
        url = base.custom_url if in_use and base.custom_url else self._urls[provider.name]
        name = settings.model or (base.default_model if in_use else "")
        model = self._catalogue.model(provider, name, any_name=url != provider.url)
        if provider.key and not self._live.provider_key(provider.name):
            raise HeliconError(
                ErrorCode.NO_PROVIDER_KEY,
                f"No key is set for the provider {provider.name!r}: set {provider.key_env} and start again.",
            )
        return model


_PROVIDER_DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}


def _sampling(settings: AppSettings, llm: Llm) -> Sampling:
    """The app's choices over the live ones; what is the providers' own default is not sent."""
    chosen = {
        **llm.model_dump(include={*_PROVIDER_DEFAULTS}),
        **settings.model_dump(include={*_PROVIDER_DEFAULTS}, exclude_none=True),
    }
    sent = {name: value for name, value in chosen.items() if value != _PROVIDER_DEFAULTS[name]}
    return Sampling(**sent, stop=llm.stop if settings.stop is None else settings.stop)
