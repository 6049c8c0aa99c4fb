"""The way into `/v1`: every route goes through it, so that none can forget to ask who is there.

A handler gets the app whose key was sent and the validated fields, and gives back what is shown as JSON, or a response.
"""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel

from services.gateway.auth import authenticate
from services.gateway.bodies import read_json, validate
from services.gateway.usecases.accounts import Accounts, refuse_disabled
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
Reply = Mapping[str, Any] | Response
Handler = Callable[Concatenate[AppRecord, M, P], Reply]


class Door:
    """Registers the routes of a blueprint under `/v1`.

    Args:
        accounts: know whose a key is.
        routes: the blueprint.
    """

    def __init__(self, accounts: Accounts, routes: Blueprint) -> None:
        self._accounts = accounts
        self._routes = routes

    def get(self, rule: str, takes: type[M]) -> Callable[[Handler[M, P]], Handler[M, P]]:
        """A route whose fields are in the query."""
        return self._route("GET", rule, takes, lambda: dict(request.args))

    def post(self, rule: str, takes: type[M]) -> Callable[[Handler[M, P]], Handler[M, P]]:
        """A route whose fields are in a JSON body."""
        return self._route("POST", rule, takes, lambda: read_json(request))

    def _route(
        self, method: str, rule: str, takes: type[M], read: Callable[[], dict[str, Any]]
    ) -> Callable[[Handler[M, P]], Handler[M, P]]:
        def register(handler: Handler[M, P]) -> Handler[M, P]:
            def view(*args: P.args, **path: P.kwargs) -> Response:
                app = self._authenticate()
                reply = handler(app, validate(takes, read()), *args, **path)
                return reply if isinstance(reply, Response) else _json(reply)

            self._routes.add_url_rule(rule, endpoint=handler.__name__, view_func=view, methods=[method])
            return handler

        return register

    def _authenticate(self) -> AppRecord:
        app = authenticate(request, self._accounts).app
        if app is None:
            raise HeliconError(ErrorCode.UNAUTHORIZED, "Access token is invalid")  # an administrator has no app
        return refuse_disabled(app)


def parse_id(text: str) -> UUID | None:
    """The id in a path; None for what is none, which is answered like one that nobody has."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _json(fields: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(fields), content_type="application/json; charset=utf-8")
