"""The two queues and their Celery apps. A message carries one id; what comes of it is a row in the archive."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, Literal

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.worker.state import reserved_requests
from kombu.transport import virtual

Queue = Literal["propose", "evaluate"]

PROPOSE: Queue = "propose"
EVALUATE: Queue = "evaluate"

_SERVER_OPTIONS = {
    # A message that a dead worker had taken comes again after this long; its id has been sent again long before.
    "visibility_timeout": 3600,
    "health_check_interval": 10,
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
}


def make_app(
    queue: str, broker: str, body: Callable[[int], None] | None = None, *, events: bool = False
) -> Celery:
    """A Celery app for one queue: `body` is called with each id that comes; without one the app only sends.

    Two workers of one app in a process would both consume the last queue, so each queue has an app of its own.
    """
    app = Celery(f"guided-evolution-{queue}", broker=broker, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        task_ignore_result=True,
        # The claim in the archive makes a second delivery harmless, and a busy worker keeps no message to itself.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_enable_prefetch_count_reduction=False,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        # For Flower, which listens to the one and asks by the other.
        worker_enable_remote_control=events,
        worker_send_task_events=events,
        task_send_sent_event=events,
        broker_transport_options={"polling_interval": 0.01} if is_memory(broker) else _SERVER_OPTIONS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
    )
    if body is not None:

        @app.task(name=queue, shared=False)  # type: ignore[untyped-decorator]
        def work(row_id: int) -> None:
            body(row_id)

    return app


def is_memory(broker: str) -> bool:
    """Whether this broker is only a place in this process."""
    return broker.startswith("memory://")


def start_worker(app: Celery, threads: int, *, name: str | None = None, events: bool = False) -> Any:
    """Consume the app's queue in threads of this process; returns Celery's controller, which has `stop()`."""
    controller = app.WorkController(
        pool_cls=_Pool,
        concurrency=threads,
        hostname=name,
        without_heartbeat=not events,
        without_mingle=True,
        without_gossip=True,
        task_events=events,
        loglevel="CRITICAL",
    )
    threading.Thread(target=controller.start, daemon=True, name=f"{app.main}-worker").start()
    return controller


def stop_consuming(controller: Any, queue: str) -> None:
    """Let what is at work go on, and take no further message."""
    consumer = controller.consumer
    with contextlib.suppress(AttributeError):  # it has no connection just now, so it takes nothing
        consumer.call_soon(consumer.cancel_task_queue, queue)
    controller.pool.wake()


def free_lost_places(controller: Any) -> None:
    """Free the places of messages whose acknowledgement got lost while Redis restarted.

    redis-py connects again by itself, so Celery keeps its channel, and the message counts as at work for good. With as
    many of them as it has slots, a worker would take nothing any more.
    """
    consumer = controller.consumer

    def free() -> None:
        # No channel just now: a new one begins to count from 0. Or a task ended in mid-look: the next time will do.
        with contextlib.suppress(AttributeError, RuntimeError):
            qos = consumer.task_consumer.channel.qos
            at_work = {request.message.delivery_tag for request in reserved_requests}
            for tag in set(qos._delivered) - qos._dirty - at_work:
                # Without a word to Redis, which has forgotten the message or sends it again.
                virtual.QoS.ack(qos, tag)  # type: ignore[no-untyped-call]

    with contextlib.suppress(AttributeError):  # not started yet
        consumer.call_soon(free)
    controller.pool.wake()


class _Pool(TaskPool):  # type: ignore[misc]
    """Celery's pool of threads, which keeps to its own app and wakes Celery's loop when a task ends.

    With a server as broker that loop sleeps up to a second, and a slot that became free would wait for it.
    """

    _ends: tuple[int, int] | None = None

    def register_with_event_loop(self, hub: Any) -> None:
        if self._ends is None:
            self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        hub.add_reader(self._ends[0], self._woken)

    def on_apply(self, target: Any, args: Any = None, kwargs: Any = None, *rest: Any, **more: Any) -> Any:
        # Else Celery looks the task up in its "default app", which is that of any worker in this process.
        kwargs = {**(kwargs or {}), "app": self.app}
        result = super().on_apply(target, args, kwargs, *rest, **more)
        result.f.add_done_callback(lambda _future: self.wake())
        return result

    def wake(self) -> None:
        """Let Celery's loop look around now."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[1], b".")

    def _woken(self) -> None:
        assert self._ends is not None
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends[0], 4096)
