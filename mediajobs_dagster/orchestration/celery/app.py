"""What launcher and workers must agree on: the broker, the queues, and how messages are delivered."""

# Celery is not typed, dagster-celery in part:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Exchange, Queue

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.internals.celery import make_app
from mediajobs_dagster.settings import Settings

EXECUTE_RUN = "execute_run"
"""The only task. Its message is the id of a run; everything else is in Dagster's database."""

DEFAULT_QUEUE = Lane.HEAVY.value
"""For runs without a lane, such as a manual run over several assets."""

# A message is acknowledged the moment a process takes it, because a run that has begun must not begin again: Dagster
# cannot resume it, and its jobs are brought back by their leases. So only a message whose worker died between the
# fetch and the start is ever delivered again, and this is how soon. A worker that was only asleep may then get the
# second copy: a run that has begun is left alone, however often it is delivered.
_REDELIVERED_AFTER_S = 30
_LOOK_S = 10

_CONFIG: dict[str, Any] = {
    "broker_transport_options": {
        "visibility_timeout": _REDELIVERED_AFTER_S,
        # Each worker looks for such messages; by default every hundred seconds, and five minutes after the death of
        # one that was just looking.
        "unacked_restore_interval": _LOOK_S,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": _REDELIVERED_AFTER_S,
        "socket_keepalive": True,
    },
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # a worker waits for Redis, however long it is away
    "task_publish_retry_policy": {"max_retries": 12, "interval_start": 0, "interval_step": 0.5, "interval_max": 2},
    # A run waits in the queue, where the next free process of any machine takes it, not inside a busy worker.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # A run does not need Redis; it goes on while Redis is away.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_redirect_stdouts": False,
    # A fork of the parent costs next to nothing, and ends with all that libraries leaked over many runs.
    "worker_max_tasks_per_child": 200,
}


def app_arguments(settings: Settings) -> dict[str, Any]:
    """The arguments of `CeleryRunLauncher` and `open_app`. Raises SettingsError when no broker is set."""
    if not settings.celery_url:
        raise SettingsError("Runs go to Celery workers through Redis: set MEDIAJOBS_CELERY_URL to its address.")
    try:
        for address in settings.celery_url.split(";"):
            _ = urlsplit(address).port
    except ValueError:  # it quotes a part of the address, which may hold a password
        raise SettingsError("MEDIAJOBS_CELERY_URL has a bad host or port. Use redis://host:6379/0.") from None
    return {
        "broker": settings.celery_url,
        "backend": settings.celery_url,
        "default_queue": DEFAULT_QUEUE,
        "config_source": _CONFIG,
    }


def open_app(settings: Settings, queues: Iterable[str]) -> Celery:
    """The Celery app of a worker that takes runs from `queues`. Raises SettingsError."""
    arguments = app_arguments(settings)
    default_queue = arguments.pop("default_queue")
    app = make_app({**arguments, "task_default_queue": default_queue})
    # They replace the one queue that dagster-celery declares.
    app.conf.task_queues = [queue_named(name) for name in queues]
    return app


def queue_named(name: str) -> Queue:
    """A queue; the launcher routes a run by `<queue>.<task>`."""
    return Queue(name, Exchange(name, type="topic"), routing_key=f"{name}.#")


def queue_name(run_tags: Mapping[str, str]) -> str:
    """The queue of a run with those tags: its lane, and what it needs besides ffmpeg."""
    parts = (run_tags.get(tags.LANE, DEFAULT_QUEUE), *run_tags.get(tags.NEEDS, "").split(","))
    return "+".join(part for part in parts if part)


def queues_for(registry: Registry, lanes: Iterable[Lane], offers: Iterable[str]) -> list[str]:
    """The queues that a worker may take runs from: it offers what every job type in them needs.

    Each lane has a queue, even without job types. Raises SettingsError when no queue is left, because Celery gives
    a worker without queues the default queue, which holds the encodes.
    """
    wanted, offered = {lane.value for lane in lanes}, frozenset(offers)
    found = dict.fromkeys(wanted, True)
    for job_type in registry:
        name = queue_name(tags.of_job_type(job_type))
        if job_type.lane.value in wanted:
            found[name] = found.get(name, True) and not job_type.lacking(offered)
    queues = sorted(name for name, fits in found.items() if fits)
    if not queues:
        raise SettingsError(
            f"There is nothing to do for a worker of {', '.join(sorted(wanted))}: the job types there need more than "
            "MEDIAJOBS_OFFERS has. Set it to what this machine has, or take other --queues."
        )
    return queues
