"""The way of a run to a worker: a Celery task sent by its name, with the run's id as its only argument."""

import queue
from uuid import UUID

from celery import Celery
from celery.app.amqp import task_message
from kombu import Producer
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from shared.domain.errors import ErrorCode, HeliconError

RUN_TASK = "helicon.run"
QUEUES = ("chat", "agent", "image", "video", "speech", "default")
"""A queue per kind of run: a video must never hold up a chat."""


_BROKER_ERRORS = (KombuError, RedisError, OSError)


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


class _Sender:
    """One kept connection to the broker."""

    def __init__(self, celery: Celery) -> None:
        self._connection = celery.connection_for_write()
        self._producer = Producer(self._connection.channel(), auto_declare=False)

    def publish(self, message: task_message, queue_name: str) -> None:
        """Put a task's message (`Celery.amqp.as_task_v2`) into a queue."""
        self._producer.publish(
            message.body,
            exchange="",
            routing_key=queue_name,
            serializer="json",
            headers=message.headers,
            **message.properties,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class TaskQueue:
    """Sends runs to workers over a few kept connections.

    Args:
        url: of the broker.
        producers: connections at most; a sender waits for a free one.
    """

    def __init__(self, url: str, producers: int) -> None:
        self._celery = make_celery(url)
        self._idle: queue.LifoQueue[_Sender | None] = queue.LifoQueue()
        for _ in range(producers):
            self._idle.put(None)

    def send(self, name: str, run: UUID) -> None:
        """Put a run into the queue of that name.

        Raises:
            HeliconError: QUEUE_UNAVAILABLE; nothing was sent, as far as anyone knows.
        """
        message: task_message = self._celery.amqp.as_task_v2(
            str(run), RUN_TASK, args=(str(run),), kwargs={}, argsrepr="", kwargsrepr="", ignore_result=True
        )
        try:
            sender = self._idle.get(timeout=5)
        except queue.Empty:
            raise _away() from None
        try:
            sender = self._publish(sender, message, name)
        except _BROKER_ERRORS as error:
            sender = None
            raise _away() from error
        finally:
            self._idle.put(sender)

    def close(self) -> None:
        """Close the idle connections."""
        while not self._idle.empty():
            sender = self._idle.get_nowait()
            if sender is not None:
                sender.close()

    def _publish(self, sender: _Sender | None, message: task_message, name: str) -> _Sender:
        if sender is not None:
            try:
                sender.publish(message, name)
            except _BROKER_ERRORS:
                sender.close()  # the broker may have been restarted since: once more, on a new connection
            else:
                return sender
        sender = _Sender(self._celery)
        sender.publish(message, name)
        return sender


def _away() -> HeliconError:
    return HeliconError(ErrorCode.QUEUE_UNAVAILABLE, "The queue is away. Try again in a moment.", retry_after=2)
