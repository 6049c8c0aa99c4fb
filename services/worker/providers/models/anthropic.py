"""Anthropic's list of models: its first page, which is all of it.

Source: https://docs.anthropic.com/en/api/models-list
"""

from pydantic import BaseModel

from services.worker.providers.base import Endpoint
from services.worker.providers.documents import Get

VERSION = "2023-06-01"
LONGEST_PAGE = 1000


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


def make_get(endpoint: Endpoint) -> Get:
    """The request. Anthropic's own base URL has no version in it; those of others may."""
    base = endpoint.url.rstrip("/").removesuffix("/v1")
    key = {"x-api-key": endpoint.key} if endpoint.key else {}
    return Get(f"{base}/v1/models?limit={LONGEST_PAGE}", {"anthropic-version": VERSION, **key})


def read(document: object) -> list[str]:
    """The models' names."""
    return [model.id for model in _Models.model_validate(document).data]
