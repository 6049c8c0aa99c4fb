"""The way of a run to a worker: a Celery task sent by its name, with the run's id as its only argument."""

from uuid import UUID, uuid4

import orjson
from celery import Celery
from celery.app.amqp import task_message
from redis import Redis

from shared.bus.connection import send
from shared.domain.errors import ErrorCode, HeliconError

RUN_TASK = "helicon.run"
QUEUES = ("chat", "agent", "image", "video", "speech", "default")
"""A queue per kind of run: a video must never hold up a chat."""


def make_celery(url: str) -> Celery:
    """The Celery application that gateways send with and workers run.

    Delivery is guarded by leases and attempts, not by Celery's acknowledgements: with `ack_emulation` off a message
    leaves the list when a worker takes it. A queue per kind of run stands in for priorities.
    """
    app = Celery("helicon", broker=url, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,
            "priority_steps": [0],
            "queue_order_strategy": "round_robin",
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue="default",
        task_create_missing_queues=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=True,
        enable_utc=True,
    )
    return app


class TaskQueue:
    """Sends runs to workers.

    A task is one LPUSH of the message that Celery makes of it, in the envelope of kombu's Redis transport: kombu's own
    producer takes six times as long, and every chat comes here.

    Args:
        broker: has the queues.
    """

    def __init__(self, broker: Redis) -> None:
        self._broker = broker
        self._celery = make_celery("redis://")  # makes messages, and connects to nothing

    def send(self, name: str, run: UUID) -> None:
        """Put a run into the queue of that name.

        Raises:
            HeliconError: QUEUE_UNAVAILABLE; nothing was sent, as far as anyone knows.
        """
        try:
            send(self._broker, [("LPUSH", name, self._envelope(name, str(run)))])
        except HeliconError as error:
            words = "The queue is away. Try again in a moment."
            raise HeliconError(ErrorCode.QUEUE_UNAVAILABLE, words, retry_after=2) from error

    def _envelope(self, name: str, run: str) -> bytes:
        task: task_message = self._celery.amqp.as_task_v2(
            run, RUN_TASK, args=(run,), kwargs={}, argsrepr="", kwargsrepr="", ignore_result=True
        )
        properties = {
            **task.properties,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": name},
            "priority": 0,
            "delivery_tag": str(uuid4()),
        }
        return orjson.dumps(
            {
                "body": orjson.dumps(task.body).decode(),
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": task.headers,
                "properties": properties,
            }
        )
