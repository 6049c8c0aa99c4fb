"""A Redis that refuses (full, or a copy) is one that is away: nobody takes a refusal for an answer."""

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest
from redis import Redis

from making import chat_job
from servers import temporary_folder
from services.launcher.embedded.valkey import embedded_valkey
from shared.bus.connection import open_redis
from shared.bus.event_log import append_events, fence_off
from shared.bus.leases import take_lease
from shared.bus.stops import request_stop
from shared.contracts.events import Closed
from shared.contracts.jobs import parse_job
from shared.domain.errors import ErrorCode, HeliconError

RUN = UUID(int=1)


@pytest.fixture
def full() -> Iterator[Redis]:
    with (
        temporary_folder() as folder,
        embedded_valkey(folder) as alone,
        closing(open_redis(alone.url, pool_size=1)) as redis,
    ):
        redis.config_set("maxmemory", "1mb")
        yield redis


def test_what_a_full_redis_refuses_is_not_taken_for_done(full: Redis):
    steps = [
        lambda: take_lease(full, RUN, 1, 6),
        lambda: request_stop(full, RUN),
        lambda: fence_off(full, RUN, 1),
        lambda: append_events(full, RUN, 1, [], [Closed()], 60),
    ]
    for step in steps:
        with pytest.raises(HeliconError, match="Redis refuses") as refused:
            step()
        assert refused.value.code is ErrorCode.EVENTS_UNAVAILABLE


def test_an_event_that_is_there_already_is_no_refusal(full: Redis):
    full.config_set("maxmemory", "0")
    for _ in range(2):
        append_events(full, RUN, 1, [], [Closed()], 60)
    assert len(fence_off(full, RUN, 2)) == 1


def test_a_job_that_can_not_be_read_is_not_told_with_what_it_asks():
    job = {**chat_job(query="my secret question").model_dump(mode="json"), "answer_limit": "none"}
    with pytest.raises(ValueError, match="answer_limit") as refused:
        parse_job(job)
    assert "secret" not in str(refused.value)
