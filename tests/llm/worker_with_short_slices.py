"""The application's worker, `celery -A tests.llm.worker_with_short_slices worker`, with slices of a second."""

import django

from config.celery import app  # noqa: F401 - Celery looks for it here

django.setup()

from llm import pulls  # noqa: E402 - needs the settings

pulls.SLICE_SECONDS = 0.7
