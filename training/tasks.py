"""Where Celery looks for tasks; each part of the training loop has its own file."""

from . import tasks_comparison, tasks_consent, tasks_data, tasks_finetune, tasks_review  # noqa: F401
