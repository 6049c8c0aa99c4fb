"""Things that tests make: jobs and runs with fields that say nothing, but for those that a test is about."""

from uuid import UUID

import uuid_utils.compat as uuids

from shared.contracts.jobs import ChatJob
from shared.domain.runs import Surface
from shared.store.runs import NewRun


def chat_job(**changes) -> ChatJob:
    fields = {"provider": "demo", "model": "demo", "query": "Hello?", "answer_limit": 100, "context": 1000}
    return ChatJob(**{**fields, "history_turns": 10, **changes})


def new_run(app: UUID, user: str = "ann", **changes) -> NewRun:
    fields = {
        "grant": 1000,
        "quota": True,
        "surface": Surface.V1,
        "conversation": None,
        "new_conversation": uuids.uuid7(),
        "name": "Hello?",
        "inputs": {},
        "message": uuids.uuid7(),
        "query": "Hello?",
        "run": uuids.uuid7(),
        "queue": "chat",
        "job": chat_job(),
        "bound": 120,
    }
    return NewRun(app=app, user=user, **{**fields, **changes})
