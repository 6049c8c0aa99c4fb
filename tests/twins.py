"""Two gateways and two workers over one database, whose live settings tests change and take back."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import uuid_utils.compat as uuids
from sqlalchemy import select

from neighbours import Servers, neighbour
from shared.catalogue.catalogue import load_catalogue
from shared.store.apps import create_app
from shared.store.keys import create_key
from shared.store.models import AuditEntry, Installation, LiveSetting
from stack import Part, Stack, wait_for
from talk import calls

IN_FORCE_SECONDS = 5
"""A change takes far less than one second, a busy machine may take more; who was not told looks after 15 s."""
SLOW = "demo-slow-first:0.3"
"""A model that thinks long enough for two chats at once."""


class Twins:
    """An administrator of a Helicon with two gateways and two workers, each of which takes one run at a time."""

    def __init__(self, stack: Stack, urls: list[str]) -> None:
        self.stack = stack
        with stack.database.write() as session:
            self.admin_key = create_key(session, kind="admin", app=None)
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        self.gateways = [httpx.Client(base_url=url, headers=headers, timeout=30) for url in urls]

    def post(self, path: str, fields: object, gateway: int = 0) -> httpx.Response:
        """Any of the requests that change something, whatever comes of it."""
        return self.gateways[gateway].post(path, json=fields)

    def update(self, section: str, key: str, value: object, gateway: int = 0) -> None:
        """Change a setting, and wait until all four processes know it."""
        self._change("/conf/update", {"type": section, "key": key, "value": value}, gateway)

    def reset(self, section: str, key: str, gateway: int = 0) -> None:
        """Take a change back, and wait until all four processes know it."""
        self._change("/conf/reset", {"type": section, "key": key}, gateway)

    def reset_all(self) -> None:
        """Take all changes back."""
        with self.stack.database.read() as session:
            changed = session.execute(select(LiveSetting.section, LiveSetting.key)).all()
        for section, key in changed:
            self.reset(section, key)

    def values(self, gateway: int = 0) -> dict[str, dict[str, Any]]:
        """The settings that a gateway shows."""
        return data_of(self.gateways[gateway].get("/conf/get"))

    def value(self, section: str, key: str, gateway: int = 0) -> Any:
        return self.values(gateway)[section][key]

    def version(self) -> int:
        with self.stack.database.read() as session:
            return session.scalars(select(Installation.version)).one()

    def audit(self) -> list[tuple[str, str, str, Any, Any]]:
        """Who did what to what, how it was, how it is: the oldest first."""
        columns = (AuditEntry.actor, AuditEntry.action, AuditEntry.target, AuditEntry.old, AuditEntry.new)
        with self.stack.database.read() as session:
            return [tuple(row) for row in session.execute(select(*columns).order_by(AuditEntry.id))]

    def everything(self) -> tuple[object, ...]:
        """What a request that is refused must leave as it is."""
        with self.stack.database.read() as session:
            stored = session.execute(select(LiveSetting.section, LiveSetting.key, LiveSetting.value)).all()
        return self.values(), self.values(1), sorted(map(str, stored)), self.version(), len(self.audit())

    @property
    def outputs(self) -> str:
        """All that the processes logged."""
        return "".join(part.output for part in self.processes)

    @property
    def processes(self) -> list[Part]:
        """The gateways and the workers."""
        return [part for name, part in self.stack.parts.items() if name != "demo"]

    def close(self) -> None:
        """Leave the gateways."""
        for client in self.gateways:
            client.close()

    @contextmanager
    def app(self, gateway: int = 0, **settings: object) -> Iterator[httpx.Client]:
        """A client of an app of its own."""
        name = f"app-{uuids.uuid7()}"
        with self.stack.database.write() as session:
            create_app(session, name, "chat", settings)
            key = create_key(session, kind="app", app=name)
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=self.gateways[gateway].base_url, headers=headers, timeout=60) as client:
            yield client

    def asked_by_both(self, query: str, **settings: object) -> list[dict[str, Any]]:
        """What the two workers ask the provider with an app's settings, called by one gateway each."""
        with (
            self.app(0, **{"model": SLOW, **settings}) as one,
            self.app(1, **{"model": SLOW, **settings}) as other,
            ThreadPoolExecutor(2) as threads,
        ):
            sent = [threads.submit(_ask, client, query) for client in (one, other)]
            for answer in sent:
                assert answer.result().status_code == 200, answer.result().text
        first, second = calls(self.stack, query)
        assert second["time"] < first["closed_at"], "one after the other: by one worker?"
        return [first, second]

    def _change(self, path: str, fields: dict[str, object], gateway: int) -> None:
        response = self.post(path, fields, gateway)
        assert (response.status_code, response.json()) == (200, {"code": 0, "msg": "success", "data": ""})
        wait_for(self._is_in_force, f"{fields} is in force", IN_FORCE_SECONDS)

    def _is_in_force(self) -> bool:
        version = self.version()
        return all(read_version(part.output) >= version for part in self.processes)


def _ask(client: httpx.Client, query: str) -> httpx.Response:
    return client.post("/v1/chat-messages", json={"query": query, "user": "ann"})


def read_version(output: str) -> int:
    """The number of the live configuration that a process read last, as it logs it."""
    versions = _READ.findall(output)  # (not as JSON: the last line may be only half written)
    return int(versions[-1]) if versions else -1


_READ = re.compile(r'"version":(\d+),"changes":\d+,"event":"live.read"')


def data_of(response: httpx.Response) -> Any:
    """The data of a request that was done."""
    answer = response.json()
    assert (response.status_code, answer["code"], answer["msg"]) == (200, 0, "success"), answer
    return answer["data"]


def refused(response: httpx.Response, status: int = 400, code: int = 210009) -> str:
    """The words of a refusal."""
    answer = response.json()
    assert (response.status_code, answer["code"], answer["data"]) == (status, code, None), answer
    return answer["msg"]


def urls_of_providers(demo_url: str) -> dict[str, str]:
    """The variables that lead all providers to a demo upstream."""
    return {
        row.url_env: demo_url if row.protocol == "anthropic" else f"{demo_url}/v1"
        for row in load_catalogue().providers.values()
    }


@contextmanager
def running_twins(stack: Stack, servers: Servers, name: str, number: int, **environ: str) -> Iterator[Twins]:
    """Twins with the demo upstream of `stack` as every provider."""
    environ = {**urls_of_providers(stack.demo_url), "HELICON_WORKER_CONCURRENCY": "1", **environ}
    with neighbour(stack, servers, name, number, **environ) as other:
        urls = [other.base_url, other.start_gateway(f"{name}-2")]
        for worker in ("worker-1", "worker-2"):
            other.start_worker(worker)
        twins = Twins(other, urls)
        yield twins
        twins.close()
