"""`manage.py load_starter_knowledge`: registers the articles of starter_knowledge/; part of every `make run`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from knowledge import starter
from knowledge.wake import wake_worker


class Command(BaseCommand):
    help = "Registers the starter knowledge; the worker indexes what is new."

    def handle(self, *args: Any, **options: Any) -> None:
        report = starter.register()
        if report.added:
            wake_worker()
        self.stderr.write(
            f"Starter knowledge: {report.added} added, {report.removed} removed, {report.unchanged} unchanged."
        )
