"""`helicon up`: everything on this machine, started in order, kept running, and stopped in order."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from services.launcher.child import Command
from services.launcher.console import Console
from services.launcher.credentials import Credentials, make_credentials
from services.launcher.embedded.ports import LOOPBACK
from services.launcher.embedded.server import EmbeddedServer
from services.launcher.errors import WrongEnvironmentError
from services.launcher.plan import Plan, make_plan
from services.launcher.readiness import await_ready, base_url
from services.launcher.runtime import remove_runtime, write_runtime
from services.launcher.schema import migrate
from services.launcher.stop_signals import StopRequestedError, stop_signals
from services.launcher.supervisor import Part, Supervisor
from shared.config import read_live_settings

SERVER_START_SECONDS = 60
"""Postgres may have to recover first."""
READY_SECONDS = 60

# How long each may take to end, in the order in which they are asked; with a drain of 8 s it is 14.5 s in all.
SERVICES_TURN, DEMO_TURN, VALKEY_TURN, POSTGRES_TURN = range(4)
BEYOND_DRAIN_SECONDS = 2.0
DEMO_STOP_SECONDS = 0.5
VALKEY_STOP_SECONDS = 1.5
POSTGRES_STOP_SECONDS = 2.5


def run_up(environ: Mapping[str, str]) -> None:
    """Run everything until a signal asks for the end.

    Raises:
        WrongEnvironmentError: a setting, the port, the data folder or the database's schema can't be used.
        LauncherError: something did not start.
    """
    console = Console(sys.stdout.buffer, coloured=sys.stdout.isatty() and not environ.get("NO_COLOR"))
    with stop_signals() as wish, make_plan(environ) as plan, ExitStack() as stack:
        supervisor = Supervisor(console, wish)
        stack.callback(remove_runtime, plan.data)
        stack.callback(supervisor.stop)
        try:
            console.say(_welcome(_start(plan, supervisor), plan))
            supervisor.keep()
        except StopRequestedError:
            console.note("stopping")


def _start(plan: Plan, supervisor: Supervisor) -> Credentials:
    """Start all, in the order in which they need each other, and wait until a chat would be answered."""
    if plan.valkey:
        _start_server(plan.valkey, supervisor, VALKEY_STOP_SECONDS, VALKEY_TURN)
    if plan.postgres:
        _start_server(plan.postgres, supervisor, POSTGRES_STOP_SECONDS, POSTGRES_TURN)
    write_runtime(plan.data, database_url=plan.database_url, redis_url=plan.redis_url)
    supervisor.beside(partial(migrate, plan.database_url))
    for part in _parts(plan):
        supervisor.start(part)
    url = base_url(plan.settings.host, plan.port)
    credentials = supervisor.beside(partial(make_credentials, plan.data, database_url=plan.database_url, base_url=url))
    supervisor.beside(partial(await_ready, plan.settings.host, plan.port, seconds=READY_SECONDS))
    return credentials


def _start_server(server: EmbeddedServer, supervisor: Supervisor, stop_seconds: float, turn: int) -> None:
    part = Part(server.name, server.prepare, stop_seconds, turn)
    supervisor.start_and_await(part, server.is_ready, SERVER_START_SECONDS)


def _parts(plan: Plan) -> list[Part]:
    """The demo upstream, the gateway and the workers."""
    environ = {**plan.environ, **_told(plan)}
    drain = plan.settings.drain_seconds + BEYOND_DRAIN_SECONDS
    count = plan.settings.workers
    workers = ["worker"] if count == 1 else [f"worker-{number}" for number in range(1, count + 1)]
    demo = ("services.demo", "--host", LOOPBACK, "--port", str(plan.demo_port))
    return [
        *([_part("demo", environ, DEMO_STOP_SECONDS, DEMO_TURN, *demo)] if plan.demo_port else []),
        _part("gateway", environ, drain, SERVICES_TURN, "services.gateway"),
        *(_part(name, environ, drain, SERVICES_TURN, "services.worker") for name in workers),
    ]


def _part(name: str, environ: Mapping[str, str], stop_seconds: float, turn: int, *module: str) -> Part:
    # -P: a folder named `services` where helicon is called must not stand in for ours.
    command = Command((sys.executable, "-P", "-m", *module), environ=environ)
    return Part(name, lambda: command, stop_seconds, turn, wrong_use=WrongEnvironmentError.exit_code)


def _told(plan: Plan) -> dict[str, str]:
    """What parts need to know beyond what we were told."""
    told = {
        "HELICON_DATABASE_URL": plan.database_url,
        "HELICON_REDIS_URL": plan.redis_url,
        "HELICON_SECRET_KEY": plan.settings.secret_key or plan.data.secret_key(),
        "HELICON_PORT": str(plan.port),
        "PYTHONUNBUFFERED": "1",
    }
    if plan.demo_port:
        told |= {"HELICON_TYPE": "demo", "DEMO_BASE_URL": f"http://{LOOPBACK}:{plan.demo_port}/v1"}
    if plan.settings.log_format == "auto" and sys.stdout.isatty():
        told["HELICON_LOG_FORMAT"] = "text"
    return told


def _welcome(credentials: Credentials, plan: Plan) -> str:
    live = read_live_settings(plan.environ)
    answers = live.base.type
    if plan.demo_port:
        answers = "the demo upstream answers: set a provider's key for a real one"
    elif not live.provider_key(live.base.type):
        answers = f"{live.base.type}, without a key: chats fail where the provider asks for one"
    lines = [
        "",
        f"Helicon is ready at {credentials.base_url}",
        f"  app key    {credentials.app_key}",
        f"  admin key  {credentials.admin_key}",
        f"  data       {plan.data.path}",
        f"  provider   {answers}",
        "",
        "A first chat:",
        credentials.first_chat,
        "",
    ]
    return "\n".join(lines)
