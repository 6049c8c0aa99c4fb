"""`POST /communicate`: a prompt in, a stream of frames out, driven by slash commands."""

from typing import Any

from flask import Blueprint, Response, request

from services.gateway.auth import authenticate
from services.gateway.bodies import parse_object, read_body, validate
from services.gateway.gateway import Gateway
from services.gateway.muse.errors import COMMUNICATE_PATHS, FRAME_CODES
from services.gateway.muse.fields import FORMS, read_form, read_once
from services.gateway.muse.foreign import refuse_foreign
from services.gateway.muse.schemas import CommunicateIn
from services.gateway.streaming.frames import error_frame
from services.gateway.streaming.response import stream_response
from services.gateway.streaming.sse import HEADERS
from services.gateway.usecases.accounts import refuse_disabled
from shared.domain.errors import ErrorCode, HeliconError
from shared.store.apps import AppRecord

SSE = "text/event-stream"


def communicate_routes(gateway: Gateway) -> Blueprint:
    """The routes of `/communicate`."""
    routes = Blueprint("muse_communicate", __name__)

    def communicate() -> Response:
        app_of_key, key = _authenticate(gateway)
        asked = validate(CommunicateIn, _read())
        app = refuse_disabled(app_of_key or gateway.accounts.app(asked.app_id))
        gateway.prompts.refuse_not_allowed(asked.user_id)
        gateway.rates.take(app, asked.user_id, key)
        try:
            stream = gateway.prompts.answer(app, asked.user_id, asked.prompt)
        except HeliconError as error:
            return Response(b"data: %b\n\n" % error_frame(error, FRAME_CODES), headers=HEADERS, content_type=SSE)
        return stream_response(stream, content_type=SSE, write_seconds=gateway.settings.write_seconds)

    for path in COMMUNICATE_PATHS:
        routes.add_url_rule(path, view_func=communicate, methods=["POST"])
    return routes


def _authenticate(gateway: Gateway) -> tuple[AppRecord, str] | tuple[None, None]:
    """The app whose key was sent, and the key's prefix; None for an administrator, and where no key is asked for."""
    if gateway.settings.muse_auth:
        holder = authenticate(request, gateway.accounts)
        if holder.app:
            return holder.app, holder.prefix
        gateway.rates.take_admin(holder.prefix)
        return None, None
    refuse_foreign(request)
    return None, None


def _read() -> dict[str, Any]:
    """The fields, from the query and from a JSON body or a form.

    Raises:
        HeliconError: BAD_REQUEST, UNSUPPORTED_MEDIA_TYPE, or as `read_body`.
    """
    if request.is_json:
        fields = parse_object(read_body(request))
    elif request.mimetype in FORMS or not read_body(request):
        fields = read_form(request)
    else:
        raise HeliconError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "The body is no picture or sound that is known here.")
    return {**fields, **read_once(request.args)}
