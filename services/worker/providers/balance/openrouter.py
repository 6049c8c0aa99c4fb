"""OpenRouter's credits, in US dollars: what was bought, and what of it was used.

Source: https://openrouter.ai/docs/api-reference/credits/get-credits
"""

from decimal import Decimal

from pydantic import BaseModel

from services.worker.providers.base import Amount, Endpoint
from services.worker.providers.documents import Get, bearer


class _Data(BaseModel):
    total_credits: Decimal
    total_usage: Decimal


class _Credits(BaseModel):
    data: _Data


def make_get(endpoint: Endpoint) -> Get:
    """The request."""
    return Get(f"{endpoint.url.rstrip('/')}/credits", bearer(endpoint))


def read(document: object) -> list[Amount]:
    """What is left."""
    data = _Credits.model_validate(document).data
    return [Amount(data.total_credits - data.total_usage, "USD")]
