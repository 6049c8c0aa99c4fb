"""What is no model: the endpoints that tests use to look and to script, the line at `/`, and unknown paths."""

import orjson
from aiohttp import web
from pydantic import ValidationError

from services.demo.calls import MEMORY, refuse_call
from services.demo.openai_chat import OPENAI_CHAT
from services.demo.refusals import Reason, Refusal, first_fault


async def introduce(_request: web.Request) -> web.Response:
    """`GET /`: what this is, in a line."""
    return web.Response(
        text="Helicon's demo upstream: models that say what they were told to, over the protocols of OpenAI "
        "(POST /v1/chat/completions) and Anthropic (POST /v1/messages). No real model answers here.\n"
    )


async def list_requests(request: web.Request) -> web.Response:
    """`GET /_requests`: what was asked, in order."""
    return _json(200, request.app[MEMORY].asked.rows())


async def forget_requests(request: web.Request) -> web.Response:
    """`DELETE /_requests`: forget what was asked, how often, and what the script still holds."""
    request.app[MEMORY].clear()
    return _json(200, {"cleared": True})


async def extend_script(request: web.Request) -> web.Response:
    """`POST /_script`: queue answers for the next calls."""
    try:
        waiting = request.app[MEMORY].script.extend(await request.read())
    except ValidationError as error:
        return _json(400, {"error": first_fault(error)})
    except ValueError as error:
        return _json(400, {"error": str(error)})
    return _json(200, {"waiting": waiting})


async def unknown_path(request: web.Request) -> web.Response:
    """Any other path: 404 in OpenAI's form, as most vendors do it."""
    return refuse_call(OPENAI_CHAT, Refusal(Reason.UNKNOWN_PATH, f"Invalid URL ({request.method} {request.path})"))


def _json(status: int, document: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
