"""`POST /communicate`: a prompt in, a stream of frames out, driven by slash commands."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from services.gateway.auth import authenticate
from services.gateway.bodies import parse_object, read_body
from services.gateway.gateway import Gateway
from services.gateway.muse.errors import COMMUNICATE_PATHS
from services.gateway.streaming.frames import error_frame
from services.gateway.streaming.response import stream_response
from services.gateway.streaming.sse import CONTENT_TYPE, HEADERS
from services.gateway.usecases.accounts import refuse_disabled
from services.gateway.usecases.chats import Question
from services.gateway.usecases.runs import RunStream
from shared.contracts.live import Base
from shared.domain.commands import Command, Prompt, parse_prompt
from shared.domain.errors import ErrorCode, HeliconError
from shared.domain.runs import Surface
from shared.store.apps import DEFAULT_APP, AppRecord

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
LONGEST_USER = 255


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the client sent, from wherever it sent it."""

    prompt: str
    user: str
    app_id: str


def communicate_routes(gateway: Gateway) -> Blueprint:
    """The routes of `/communicate`."""
    routes = Blueprint("muse_communicate", __name__)

    def communicate() -> Response:
        app_of_key = _authenticate(gateway)
        asked = _read()
        app = refuse_disabled(app_of_key or gateway.accounts.app(asked.app_id or DEFAULT_APP))
        _refuse_not_allowed(asked.user, gateway.live.base)
        try:
            stream = _answer(gateway, app, asked.user, parse_prompt(asked.prompt))
        except HeliconError as error:
            return Response(b"data: %b\n\n" % error_frame(error), headers=HEADERS, content_type=CONTENT_TYPE)
        return stream_response(stream)

    for path in COMMUNICATE_PATHS:
        routes.add_url_rule(path, view_func=communicate, methods=["POST"])
    return routes


def _authenticate(gateway: Gateway) -> AppRecord | None:
    """The app whose key was sent; None for an administrator, and where no key is asked for."""
    if gateway.settings.muse_auth:
        return authenticate(request, gateway.accounts).app
    _refuse_foreign()
    return None


def _refuse_not_allowed(user: str, base: Base) -> None:
    if base.allowed_user_ids and user not in (*base.allowed_user_ids, *base.admin_user_ids):
        raise HeliconError(ErrorCode.FORBIDDEN, f"The user {user!r} is not allowed here.")


def _answer(gateway: Gateway, app: AppRecord, user: str, prompt: Prompt) -> RunStream:
    if prompt.command is Command.CHAT and prompt.text:
        question = Question(app, user, Surface.MUSE, prompt.text, {})
        return gateway.runs.start(question, gateway.chats.prepare(question))
    return gateway.runs.replay(gateway.commands.answer(app, user, prompt))


def _read() -> _Asked:
    """Prompt and user from the query, a form or a JSON body.

    Raises:
        HeliconError: INVALID_PARAM, UNSUPPORTED_MEDIA_TYPE, or as `read_body`.
    """
    body = read_body(request)
    fields: dict[str, object] = {}
    if request.is_json:
        fields = parse_object(body)
    elif request.form or request.files:
        fields = dict(request.form)
    elif body and request.mimetype != "application/x-www-form-urlencoded":
        raise HeliconError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "The body is no picture or sound that is known here.")
    if request.files:
        raise HeliconError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "The file is no picture or sound that is known here.")
    fields |= request.args.to_dict()
    return _Asked(
        prompt=_text(fields, "prompt", required=True),
        user=_text(fields, "user_id", required=True, longest=LONGEST_USER),
        app_id=_text(fields, "app_id"),
    )


def _text(fields: dict[str, object], name: str, *, required: bool = False, longest: int | None = None) -> str:
    value = fields.get(name, "")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise HeliconError.invalid(f"{name} must be a string")
    if name != "prompt" and "\0" in value:
        raise HeliconError.invalid(f"{name} must not have a NUL character")
    value = value.replace("\0", "")
    if required and not value.strip():
        raise HeliconError.invalid(f"Missing {name} parameter")
    if longest is not None and len(value) > longest:
        raise HeliconError.invalid(f"{name} must have at most {longest} characters")
    return value


def _refuse_foreign() -> None:
    """Without keys, only a client on this machine may ask, and no web page of another origin.

    Raises:
        HeliconError: FORBIDDEN.
    """
    hosts = {"Host": f"//{request.headers.get('Host', '')}", "Origin": request.headers.get("Origin", "//localhost")}
    for header, url in hosts.items():
        try:
            name = urlsplit(url).hostname
        except ValueError:
            name = None
        if name not in LOOPBACK:
            raise HeliconError(ErrorCode.FORBIDDEN, f"{header} is not this machine; HELICON_MUSE_AUTH is off.")
