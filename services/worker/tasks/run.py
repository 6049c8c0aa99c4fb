"""The one task: execute a run."""

from uuid import UUID

from celery import Celery

from services.worker.runs.lifecycle import Lifecycle
from shared.queue import RUN_TASK


def register_run_task(celery: Celery, lifecycle: Lifecycle) -> None:
    """Let `celery` execute runs."""

    @celery.task(name=RUN_TASK, ignore_result=True)
    def run(run_id: str) -> None:  # pyright: ignore[reportUnusedFunction] - Celery keeps it by its name
        lifecycle.execute(UUID(run_id))
