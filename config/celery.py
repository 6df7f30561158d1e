"""The Celery application: `celery -A config.celery worker`. Queues are listed in settings.CELERY_TASK_QUEUES."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("coach")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
