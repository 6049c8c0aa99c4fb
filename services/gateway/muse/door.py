"""The way into the Muse API's JSON endpoints: every route goes through it, so that none can forget who may ask.

A handler gets the administrator who asks and the validated fields, and gives back the `data` of the envelope.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel

from services.gateway.auth import authenticate
from services.gateway.bodies import read_json, validate
from services.gateway.gateway import Gateway
from services.gateway.muse.fields import read_form, read_once
from services.gateway.muse.foreign import refuse_foreign
from services.gateway.muse.schemas import OfApp
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who asks: `actor` (the key's prefix) stands in the audit; `app` is the one that they act in."""

    actor: str
    app: AppRecord


Handler = Callable[[Administrator, M], object]
Read = Callable[[], dict[str, Any]]


class Door:
    """Registers the routes of a blueprint.

    Args:
        gateway: knows whose a key is.
        routes: the blueprint.
    """

    def __init__(self, gateway: Gateway, routes: Blueprint) -> None:
        self._gateway = gateway
        self._routes = routes

    def get(self, rule: str, takes: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """A route whose fields are in the query."""
        return self._route("GET", rule, takes, dict)

    def delete(self, rule: str, takes: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """A route whose fields are in the query."""
        return self._route("DELETE", rule, takes, dict)

    def post_json(self, rule: str, takes: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """A route whose fields are in a JSON body, and in the query."""
        return self._route("POST", rule, takes, lambda: read_json(request))

    def post_form(self, rule: str, takes: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """A route whose fields are in a form, and in the query."""
        return self._route("POST", rule, takes, lambda: read_form(request))

    def post_document(self, rule: str, takes: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """A route whose fields are in the query; the JSON object in the body is one of them, `document`."""
        return self._route("POST", rule, takes, lambda: {"document": read_json(request)})

    def _route(self, method: str, rule: str, takes: type[M], read: Read) -> Callable[[Handler[M]], Handler[M]]:
        def register(handler: Handler[M]) -> Handler[M]:
            def view() -> Response:
                actor = self._authenticate()
                fields = {**read_once(request.args), **read()}
                asked = validate(takes, fields)
                app = self._gateway.accounts.app(validate(OfApp, fields).app_id)
                return _succeed(handler(Administrator(actor, app), asked))

            self._routes.add_url_rule(rule, endpoint=handler.__name__, view_func=view, methods=[method])
            return handler

        return register

    def _authenticate(self) -> str:
        if not self._gateway.settings.muse_auth:
            refuse_foreign(request)
            return ""
        holder = authenticate(request, self._gateway.accounts)
        if holder.app is not None:
            raise HeliconError(ErrorCode.FORBIDDEN, "This takes an admin key (`helicon key create --admin`).")
        self._gateway.rates.take_admin(holder.prefix)
        return holder.prefix


def _succeed(data: object) -> Response:
    envelope = {"code": 0, "msg": "success", "data": data}
    return Response(orjson.dumps(envelope), content_type="application/json; charset=utf-8")
