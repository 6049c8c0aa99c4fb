"""Every failure as the chat application API answers it."""

import orjson
from flask import Response

from services.gateway.streaming.errors import error_fields
from shared.domain.errors import HeliconError


def respond(error: HeliconError) -> Response:
    """The failure as an answer."""
    fields = error_fields(error.code, error.message)
    return Response(orjson.dumps(fields), fields["status"], content_type="application/json; charset=utf-8")
