"""OpenAI's list of models: that of most vendors.

Source: https://platform.openai.com/docs/api-reference/models/list
"""

from pydantic import BaseModel

from services.worker.providers.base import Endpoint
from services.worker.providers.documents import Get, bearer


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


def make_get(endpoint: Endpoint) -> Get:
    """The request."""
    return Get(f"{endpoint.url.rstrip('/')}/models", bearer(endpoint))


def read(document: object) -> list[str]:
    """The models' names, as chats name them: Gemini's list has its own resource's name before each."""
    return [model.id.removeprefix("models/") for model in _Models.model_validate(document).data]
