"""DeepSeek's balance, which its account has in one or more currencies.

Source: https://api-docs.deepseek.com/api/get-user-balance
"""

from decimal import Decimal

from pydantic import BaseModel, Field

from services.worker.providers.base import Amount, Endpoint
from services.worker.providers.documents import Get, bearer


class _Purse(BaseModel):
    currency: str = Field(max_length=16)
    total_balance: Decimal


class _Balance(BaseModel):
    balance_infos: list[_Purse] = Field(max_length=16)


def make_get(endpoint: Endpoint) -> Get:
    """The request: beside the version that chats have in their path."""
    return Get(f"{endpoint.url.rstrip('/').removesuffix('/v1')}/user/balance", bearer(endpoint))


def read(document: object) -> list[Amount]:
    """What is left."""
    return [Amount(purse.total_balance, purse.currency) for purse in _Balance.model_validate(document).balance_infos]
