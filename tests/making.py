"""Things that tests make: jobs and runs with fields that say nothing, but for those that a test is about."""

from uuid import UUID

import uuid_utils.compat as uuids

from shared.contracts.jobs import ChatJob
from shared.domain.runs import Surface
from shared.store.runs.start import NewRun


def chat_job(**changes) -> ChatJob:
    fields = {"provider": "demo", "model": "demo", "query": "Hello?", "answer_limit": 100, "context": 1000}
    return ChatJob(**{**fields, "history_turns": 10, **changes})


def new_run(app: UUID, user: str = "ann", **changes) -> NewRun:
    fields = {
        "first_grant": 1000,
        "quota": True,
        "surface": Surface.V1,
        "conversation": None,
        "new_conversation": uuids.uuid7(),
        "name": "Hello?",
        "inputs": {},
        "message": uuids.uuid7(),
        "record_type": "text",
        "query": "Hello?",
        "run": uuids.uuid7(),
        "kind": "chat",
        "queue": "chat",
        "job": chat_job().model_dump(mode="json"),
        "bound": 120,
        "turns": 10,
        "context": 1000,
    }
    return NewRun(app=app, user_id=user, **{**fields, **changes})
