"""Probes: whether this process runs, and whether it can serve."""

from collections.abc import Callable
from importlib.metadata import version

from flask import Blueprint, Response, jsonify
from redis import Redis
from sqlalchemy import text

from services.gateway.streaming.relay import Relay
from shared.bus.connection import send
from shared.bus.leases import any_worker
from shared.domain.errors import HeliconError
from shared.store.engine import Database
from shared.store.schema import is_current


def health_routes(database: Database, broker: Redis, events: Redis, relay: Relay) -> Blueprint:
    """`/healthz` and `/readyz`."""
    routes = Blueprint("health", __name__)

    def postgres() -> bool:
        with database.read() as session:
            return session.scalar(text("SELECT 1")) == 1

    def migrations() -> bool:
        with database.read() as session:
            return is_current(session)

    def redis() -> bool:
        return all(send(broker, [("PING",)]))

    def listening() -> bool:
        return all(send(events, [("PING",)])) and relay.connected.is_set()

    needed = {"postgres": postgres, "redis": redis, "events": listening, "migrations": migrations}

    @routes.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", version=version("helicon"))

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {name: "ok" if _holds(check) else "failed" for name, check in needed.items()}
        ready = "failed" not in checks.values()
        # Without a worker requests are taken and wait in their queue: a warning, no reason to stop serving.
        checks["workers"] = "ok" if _holds(lambda: any_worker(events)) else "missing"
        return jsonify(status="ok" if ready else "failed", checks=checks), 200 if ready else 503

    return routes


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except HeliconError:
        return False
