"""The Celery application: `celery -A config.celery worker`. Queues are listed in settings.CELERY_TASK_QUEUES."""

import os
import signal

from celery import Celery
from celery.signals import beat_embedded_init, worker_before_create_process

from coach.garbage import spare_what_is_shared
from launcher.child import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_started_by = os.getpid()  # the worker: its own processes are forked from it

app = Celery("coach")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_before_create_process.connect
def share_what_is_loaded(**_signal: object) -> None:
    spare_what_is_shared()


@beat_embedded_init.connect
def end_with_the_worker(**_signal: object) -> None:
    """The clock of `worker -B` is a process of its own. Left alone without a broker, it would look for one for ever."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != _started_by:  # it died before
        os._exit(1)
