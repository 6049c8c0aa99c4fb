"""The demo upstream's application and its life as a process."""

import asyncio
import signal

from aiohttp import web

from services.demo import account, anthropic_messages, control, openai_chat
from services.demo.calls import MEMORY, Memory

LARGEST_BODY = 16 * 1024 * 1024
WAITING_CONNECTIONS = 4096
IDLE_SECONDS = 75.0


def create_app() -> web.Application:
    """The application with an empty memory."""
    app = web.Application(client_max_size=LARGEST_BODY)
    app[MEMORY] = Memory()
    app.router.add_get("/", control.introduce)
    app.router.add_get("/_requests", control.list_requests)
    app.router.add_delete("/_requests", control.forget_requests)
    app.router.add_post("/_script", control.extend_script)
    app.router.add_get("/v1/models", account.models)
    app.router.add_get("/v1/credits", account.credits_left)
    app.router.add_get("/user/balance", account.balance)
    app.router.add_post("/v1/chat/completions", openai_chat.chat_completions)
    app.router.add_post("/v1/messages", anthropic_messages.messages)
    app.router.add_route("*", "/{path:.*}", control.unknown_path)
    return app


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, which end all calls at once. Port 0 takes any free one.

    Raises:
        OSError: the address can't be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    runner = web.AppRunner(
        create_app(), handler_cancellation=True, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=WAITING_CONNECTIONS).start()
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        print(f"demo upstream listening on http://{shown}:{bound}", flush=True)  # noqa: T201 - who starts it reads this line
        await stop.wait()
    finally:
        await runner.cleanup()
