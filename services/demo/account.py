"""What vendors tell of an account: which models there are, and what is left to spend.

`POST /_script` reaches them too: an item whose `model` is the path (`/user/balance`) stands in for the answer, with a
status, with a `text` that is sent as it stands, or with the fault `hang:0`.

Sources: https://platform.openai.com/docs/api-reference/models/list,
https://api-docs.deepseek.com/api/get-user-balance, https://openrouter.ai/docs/api-reference/credits/get-credits
"""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from services.demo.asked import AskedCall
from services.demo.calls import MEMORY, check_key, refuse_call
from services.demo.faults import LONGEST_PAUSE
from services.demo.openai_chat import OPENAI_CHAT
from services.demo.refusals import Refusal, ScriptedRefusal

MODELS = ("demo", "demo-slow:20", "demo-tokens:100")
BALANCE = {
    "is_available": True,
    "balance_infos": [
        {"currency": "CNY", "total_balance": "110.00", "granted_balance": "10.00", "topped_up_balance": "100.00"}
    ],
}
CREDITS = {"data": {"total_credits": 100.5, "total_usage": 25.75}}


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`: some of the names; all of the demo's family can be asked."""
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": "helicon-demo"} for name in MODELS]
    return await _tell(request, {"object": "list", "data": rows})


async def balance(request: web.Request) -> web.Response:
    """`GET /user/balance`, as DeepSeek has it."""
    return await _tell(request, BALANCE)


async def credits_left(request: web.Request) -> web.Response:
    """`GET /v1/credits`, as OpenRouter has it."""
    return await _tell(request, CREDITS)


async def _tell(request: web.Request, document: dict[str, Any]) -> web.Response:
    key = OPENAI_CHAT.key(request) or request.headers.get("x-api-key", "")
    asked = request.app[MEMORY].asked.add("account", request.path, key, b"")
    try:
        body = await _answer(request, asked, document)
    except (Refusal, ScriptedRefusal) as refusal:
        response = refuse_call(OPENAI_CHAT, refusal)
        asked.status = response.status
        asked.end("server")
        return response
    except asyncio.CancelledError:
        asked.end("client")
        raise
    asked.status = 200
    asked.end("server", finished=True)
    return web.Response(body=body, content_type="application/json")


async def _answer(request: web.Request, asked: AskedCall, document: dict[str, Any]) -> bytes:
    check_key(asked.key)
    item = request.app[MEMORY].script.take(request.path)
    if item is None:
        return orjson.dumps(document)
    if item.status is not None:
        raise ScriptedRefusal(item.status, item.error or f"Scripted status {item.status}.")
    if item.parsed_faults().hang is not None:
        await asyncio.sleep(LONGEST_PAUSE)
    return (item.text or "").encode()
