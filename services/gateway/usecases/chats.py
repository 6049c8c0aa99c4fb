"""Chats: the app's settings over the live ones, the model that they lead to, and the run that they begin."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import uuid_utils.compat as uuids

from services.gateway.streaming.runstream import RunStream
from services.gateway.usecases.runs import Runs
from shared.catalogue.catalogue import Model
from shared.contracts.apps import AppSettings
from shared.contracts.jobs import ChatJob, Retries, Sampling
from shared.contracts.live import Base, LiveSettings, Llm
from shared.contracts.offers import Offers
from shared.domain.inputs import check_inputs, fill_prompt
from shared.domain.runs import Surface
from shared.domain.titles import cut_title
from shared.store.apps import AppRecord
from shared.store.conversations import read_inputs
from shared.store.engine import Database
from shared.store.runs.start import NewRun
from shared.store.users import read_mode

MESSAGE_OVERHEAD = 8
"""Tokens that a message costs beside its text, at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks. `conversation` None: a new one, or the current one on the Muse surface.

    `replaces`: the message whose question it is, asked again.
    """

    app: AppRecord
    user: str
    surface: Surface
    query: str
    inputs: Mapping[str, object]
    conversation: UUID | None = None
    replaces: UUID | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for a request, and the SHA-256 (hex) of what it asks."""

    key: str
    body_sha256: str

    @classmethod
    def of(cls, key: str, body: bytes) -> "Idempotency":
        """The key, and what was sent with it."""
        return cls(key, hashlib.sha256(body).hexdigest())


class Chats:
    """Begins chats.

    Args:
        database: has the conversations.
        runs: executes them.
        offers: the models.
    """

    def __init__(self, database: Database, runs: Runs, offers: Offers) -> None:
        self._database = database
        self._runs = runs
        self._offers = offers

    def ask(self, question: Question, idempotency: Idempotency | None = None) -> RunStream:
        """Begin the run that answers a question, or join the one that the idempotency key began.

        Raises:
            HeliconError: INVALID_PARAM, the inputs don't fit the form; APP_UNAVAILABLE, MODEL_UNSUPPORTED or
                NO_PROVIDER_KEY, no model can be asked; else as `Runs.start`.
        """
        live, settings = self._offers.live, settings_on(question.surface, question.app)
        inputs = self._inputs(question, settings)
        prompt = fill_prompt(settings.prompt or live.base.character, inputs)
        model = self._model(question, settings)
        job = _job(question, settings, prompt, model, live)
        grant = first_grant(settings, live.base)
        free = is_free(question.surface, question.user, live.base)
        # A token is never shorter than a byte, so bytes are an upper bound that costs nothing to count.
        new_bytes = len(prompt.encode()) + len(question.query.encode())
        new = NewRun(
            app=question.app.id,
            user_id=question.user,
            first_grant=grant,
            quota=grant > 0 and not free,
            surface=question.surface,
            conversation=question.conversation,
            new_conversation=uuids.uuid7(),
            name=cut_title(question.query),
            inputs=inputs,
            message=uuids.uuid7(),
            record_type=job.record_type,
            query=question.query,
            run=uuids.uuid7(),
            kind=job.kind,
            queue=job.queue,
            job=job.model_dump(mode="json"),
            bound=new_bytes + 3 * MESSAGE_OVERHEAD + job.answer_limit,
            turns=job.history_turns,
            seconds=job.history_seconds,
            context=job.context,
            parallel=0 if free else _parallel(question, settings, live.base),
            replaces=question.replaces,
            idempotency_key=idempotency.key if idempotency else None,
            body_sha256=idempotency.body_sha256 if idempotency else None,
        )
        return self._runs.start(new)

    def _model(self, question: Question, settings: AppSettings) -> Model:
        """The app's model on the surface V1; on the Muse surface the one that the user's mode stands for."""
        if question.surface is Surface.V1:
            return self._offers.model(settings.provider, settings.model)
        with self._database.read() as session:
            return self._offers.of_mode(read_mode(session, question.app.id, question.user))

    def _inputs(self, question: Question, settings: AppSettings) -> dict[str, str]:
        """The values of the app's form: given when a conversation begins, kept while it goes on."""
        form = settings.form
        if form and question.conversation is not None:
            with self._database.read() as session:
                return read_inputs(session, question.app.id, question.user, question.conversation)
        return check_inputs([field.as_input_field() for field in form], question.inputs)


def settings_on(surface: Surface, app: AppRecord) -> AppSettings:
    """What an app decides on a surface: on the Muse surface its prices alone, for the rest is the live settings'."""
    if surface is Surface.V1:
        return app.settings
    return AppSettings(**app.settings.model_dump(include=_PRICES, exclude_unset=True))


_PRICES = {"prompt_price", "completion_price", "currency"}


def first_grant(settings: AppSettings, base: Base) -> int:
    """Tokens that a new user of an app gets; 0: quota is off."""
    return base.token_per_user if settings.token_per_user is None else settings.token_per_user


def is_free(surface: Surface, user: str, base: Base) -> bool:
    """Whether a user is free of quota and parallel limit."""
    return surface is Surface.MUSE and user in base.admin_user_ids


def _parallel(question: Question, settings: AppSettings, base: Base) -> int:
    """How many chats of a user may be open at once; 0: any number."""
    return base.max_user_chat if question.surface is Surface.MUSE else settings.max_user_chat


def _job(question: Question, settings: AppSettings, prompt: str, model: Model, live: LiveSettings) -> ChatJob:
    base, llm = live.base, live.llm
    own_prices = settings.prompt_price is not None or settings.completion_price is not None
    return ChatJob(
        provider=model.provider,
        model=model.name,
        system_prompt=prompt,
        query=question.query,
        sampling=_sampling(settings, llm) if model.sampling else Sampling(),
        answer_limit=min(settings.max_tokens or llm.max_tokens, model.answer),
        context=model.context,
        history_turns=base.max_qa_pair,
        history_seconds=base.context_expire_time if question.surface is Surface.MUSE else None,
        retries=Retries(times=base.llm_retry_times, interval=base.llm_retry_interval / 1000),
        prompt_price=f"{settings.prompt_price or Decimal(0):f}" if own_prices else model.prompt_price,
        completion_price=f"{settings.completion_price or Decimal(0):f}" if own_prices else model.completion_price,
        currency=settings.currency if own_prices else model.currency,
    )


_PROVIDER_DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}


def _sampling(settings: AppSettings, llm: Llm) -> Sampling:
    """The app's choices over the live ones; what is the providers' own default is not sent."""
    names = {*_PROVIDER_DEFAULTS}
    chosen = {**llm.model_dump(include=names), **settings.model_dump(include=names, exclude_none=True)}
    sent = {name: value for name, value in chosen.items() if value != _PROVIDER_DEFAULTS[name]}
    return Sampling(
        **sent,
        stop=llm.stop if settings.stop is None else settings.stop,
        logprobs=llm.log_probs or None,
        top_logprobs=(llm.log_probs and llm.top_log_probs) or None,
    )
