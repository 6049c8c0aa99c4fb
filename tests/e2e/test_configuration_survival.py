"""Live settings survive what may be lost: processes, connections, announcements, Redis and Postgres."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest
import uuid_utils.compat as uuids
from sqlalchemy import text

from books import answers
from cut_wire import Wire, wire_to
from mortal import Mortal, running_mortal
from shared.config import WRONG_KEY
from stack import END_SECONDS, Part, Stack, free_port, wait_for
from twins import Twins, data_of, read_version, refused

SOON = 10
"""Seconds that nobody needs who heard of a change, or noticed that they may have missed one."""
LATE = 40
"""Who heard nothing looks after 15 s."""


class Home:
    """A stack whose second gateway and second worker reach Redis and Postgres over wires that tests cut."""

    def __init__(self, mortal: Mortal, to_redis: tuple[Wire, str], to_postgres: tuple[Wire, str]) -> None:
        self.mortal = mortal
        self.stack: Stack = mortal.stack
        self.to_redis, redis_url = to_redis
        self.to_postgres, database_url = to_postgres
        self.wired = {"HELICON_EVENTS_URL": redis_url, "HELICON_DATABASE_URL": database_url}

    @contextmanager
    def twins(self) -> Iterator[Twins]:
        """All four processes, started; stopped at the end."""
        try:
            urls = [self.stack.start_gateway("gateway"), self.stack.start_gateway("gateway-2", **self.wired)]
            self.stack.start_worker("worker")
            self.stack.start_worker("worker-2", **self.wired)
            with closing(Twins(self.stack, urls)) as twins:
                yield twins
        finally:
            self.empty()

    def empty(self) -> None:
        """Stop all processes that run."""
        for name in [name for name in self.stack.parts if name != "demo"]:
            self.stack.parts.pop(name).stop()


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with (
        running_mortal(HELICON_WORKER_CONCURRENCY="1", HELICON_LLM_RETRY_INTERVAL="5") as mortal,
        wire_to(mortal.valkey.url) as to_redis,
        wire_to(mortal.postgres.url) as to_postgres,
    ):
        home = Home(mortal, to_redis, to_postgres)
        home.empty()
        yield home
        home.empty()


@pytest.fixture
def twins(home: Home) -> Iterator[Twins]:
    with home.twins() as twins:
        yield twins


@pytest.fixture
def user() -> str:
    return f"user-{uuids.uuid7()}"


def change(twins: Twins, value: str) -> int:
    """Change the character by the first gateway, whoever hears of it: the new version."""
    response = twins.post("/conf/update", {"type": "base", "key": "character", "value": value})
    assert data_of(response) == ""
    assert twins.value("base", "character") == value
    return twins.version()


def wait_until_known(twins: Twins, version: int, seconds: float) -> None:
    def is_known() -> bool:
        return all(read_version(part.output) >= version for part in twins.processes)

    wait_for(is_known, "every process knows the change", seconds)


@pytest.mark.requirement("muse.conf.kept")
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_changes_are_in_force_again_when_all_processes_were_restarted(home: Home, user: str, how: str):
    with home.twins() as twins:
        twins.update("base", "character", f"Be {how}.")
        twins.update("base", "demo_token", f"sk-{user}")
        for part in twins.processes:
            if how == "kill":
                part.kill()
    with home.twins() as twins:
        assert [twins.value("base", "character", number) for number in (0, 1)] == [f"Be {how}."] * 2
        asked = twins.asked_by_both(user)
        assert [call["key"] for call in asked] == [f"sk-***{user[-4:]}"] * 2
        assert [call["body"]["messages"][0]["content"] for call in asked] == [f"Be {how}."] * 2


@pytest.mark.requirement("muse.conf.live")
def test_who_had_no_connection_to_redis_reads_the_change_when_it_is_back(home: Home, twins: Twins, user: str):
    home.to_redis.cut()
    version = change(twins, user)
    home.to_redis.mend()
    wait_until_known(twins, version, SOON)
    assert twins.value("base", "character", 1) == user


@pytest.mark.requirement("muse.conf.live")
def test_who_could_not_read_a_change_tries_until_postgres_answers(home: Home, twins: Twins, user: str):
    home.to_postgres.cut()
    version = change(twins, user)
    wired = [twins.stack.parts[name] for name in ("gateway-2", "worker-2")]
    wait_for(lambda: all('"live.not_read"' in part.output for part in wired), "both heard of it in vain")
    home.to_postgres.mend()
    wait_until_known(twins, version, SOON)
    assert twins.value("base", "character", 1) == user


@pytest.mark.requirement("muse.conf.live")
def test_a_change_while_redis_is_away_is_made_and_known_when_it_is_back(home: Home, twins: Twins, user: str):
    home.mortal.valkey.kill()
    version = change(twins, user)
    home.mortal.valkey.start()
    wait_until_known(twins, version, SOON)


@pytest.mark.requirement("muse.conf.live")
def test_a_change_whose_announcement_was_lost_is_found_by_looking(twins: Twins, user: str):
    twins.update("base", "character", "Be brief.")
    change_it = text("UPDATE live_settings SET value = to_jsonb(CAST(:value AS text)) WHERE key = 'character'")
    with twins.stack.database.write() as session:  # as by a gateway that is killed before it tells anybody
        session.execute(change_it, {"value": user})
        session.execute(text("UPDATE installation SET version = version + 1"))
    wait_until_known(twins, twins.version(), LATE)
    assert [twins.value("base", "character", number) for number in (0, 1)] == [user] * 2


def test_while_postgres_is_away_what_is_in_force_is_shown_and_nothing_changed(home: Home, twins: Twins, user: str):
    before = twins.values()
    home.mortal.postgres.kill()
    asked = {"type": "base", "key": "character", "value": user}
    response = twins.post("/conf/update", asked)
    assert refused(response, 503, 210005).startswith("db write fail: ")
    assert int(response.headers["Retry-After"]) >= 1
    assert twins.values() == before
    home.mortal.postgres.start()
    wait_for(lambda: answers(twins.stack.database), "Postgres is back")
    assert twins.values() == before
    wait_until_known(twins, change(twins, user), SOON)


def started_without_postgres(home: Home, **environ: str) -> tuple[Part, str]:
    """A gateway that is asked for the live settings while Postgres is away."""
    port = str(free_port())
    home.to_postgres.cut()
    part = home.stack.start("late", "services.gateway", HELICON_PORT=port, **home.wired, **environ)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: _status(f"{url}/healthz") == 200, "it serves", 60)
    assert _status(f"{url}/readyz") == 503
    return part, url


def _status(url: str) -> int | None:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return None


def test_a_gateway_that_starts_before_postgres_has_the_settings_when_it_is_there(home: Home, twins: Twins, user: str):
    twins.update("base", "character", user)
    _, url = started_without_postgres(home)
    headers = {"Authorization": f"Bearer {twins.admin_key}"}
    refused(httpx.get(f"{url}/conf/get", headers=headers), 503, 210006)
    home.to_postgres.mend()
    response = wait_for(lambda: _answer(f"{url}/conf/get", headers), "the settings are read")
    assert isinstance(response, httpx.Response)
    assert data_of(response)["base"]["character"] == user


def _answer(url: str, headers: dict[str, str]) -> httpx.Response | None:
    response = httpx.get(url, headers=headers)
    return response if response.status_code == 200 else None


def test_a_gateway_that_starts_before_postgres_ends_when_it_turns_out_to_have_a_wrong_key(home: Home, twins: Twins):
    part, _ = started_without_postgres(home, HELICON_SECRET_KEY="another")
    home.to_postgres.mend()
    part.process.wait(END_SECONDS)
    lines = [line for line in part.output.splitlines() if line.startswith("helicon gateway: ")]
    assert lines == [f"helicon gateway: {WRONG_KEY}"]
    del home.stack.parts["late"]
    assert part.stop() == 2
