from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from coach.defaults import create_default_coaches


class Command(BaseCommand):
    help = "Makes the personal and the university coach where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        made = create_default_coaches()
        if made and options["verbosity"]:
            self.stderr.write(f"{made} coaches made")
