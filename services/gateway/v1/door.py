"""The way into `/v1`: every route goes through it, so that none can forget to ask who is there.

A route that is `rated` is held to the rate limits of the app: those that begin runs. Stopping a run and hearing it
again are not: a client must never be kept from either.

A handler gets the app whose key was sent and the validated fields, and gives back what is shown as JSON, or a response.
"""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import orjson
from flask import Blueprint, Response, request

from services.gateway.auth import authenticate
from services.gateway.bodies import read_json, validate
from services.gateway.fields import OfUser
from services.gateway.usecases.accounts import Accounts, refuse_disabled
from services.gateway.usecases.rates import Rates
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord

M = TypeVar("M", bound=OfUser)
P = ParamSpec("P")
Reply = Mapping[str, Any] | Response
Handler = Callable[Concatenate[AppRecord, M, P], Reply]


class Door:
    """Registers the routes of a blueprint under `/v1`.

    Args:
        accounts: know whose a key is.
        rates: refuse who asks too often.
        routes: the blueprint.
    """

    def __init__(self, accounts: Accounts, rates: Rates, routes: Blueprint) -> None:
        self._accounts = accounts
        self._rates = rates
        self._routes = routes

    def get(self, rule: str, takes: type[M], *, rated: bool = False) -> Callable[[Handler[M, P]], Handler[M, P]]:
        """A route whose fields are in the query."""
        return self._route("GET", rule, takes, lambda: dict(request.args), rated=rated)

    def post(self, rule: str, takes: type[M], *, rated: bool = False) -> Callable[[Handler[M, P]], Handler[M, P]]:
        """A route whose fields are in a JSON body."""
        return self._route("POST", rule, takes, lambda: read_json(request), rated=rated)

    def _route(
        self, method: str, rule: str, takes: type[M], read: Callable[[], dict[str, Any]], *, rated: bool
    ) -> Callable[[Handler[M, P]], Handler[M, P]]:
        def register(handler: Handler[M, P]) -> Handler[M, P]:
            def view(*args: P.args, **path: P.kwargs) -> Response:
                app, key = self._authenticate()
                asked = validate(takes, read())
                if rated:
                    self._rates.take(app, asked.user, key)
                reply = handler(app, asked, *args, **path)
                return reply if isinstance(reply, Response) else _json(reply)

            self._routes.add_url_rule(rule, endpoint=handler.__name__, view_func=view, methods=[method])
            return handler

        return register

    def _authenticate(self) -> tuple[AppRecord, str]:
        """The app whose key was sent, and the key's prefix."""
        holder = authenticate(request, self._accounts)
        if holder.app is None:
            raise HeliconError(ErrorCode.UNAUTHORIZED, "Access token is invalid")  # an administrator has no app
        return refuse_disabled(holder.app), holder.prefix


def _json(fields: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(fields), content_type="application/json; charset=utf-8")
