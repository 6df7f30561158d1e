"""`manage.py up`: starts and supervises what is not given by a URL; the work is done by launcher/."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from launcher.plan import PLAN_VARIABLE, Plan


class Command(BaseCommand):
    help = "Starts everything that AI Coach needs on this machine and watches over it until Ctrl-C."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        plan = Plan(
            base_dir=str(settings.BASE_DIR),
            data_dir=str(settings.DATA_DIR),
            cache_dir=str(settings.CACHE_DIR),
            port=settings.PORT,
            redis_url=os.environ.get("REDIS_URL", "").strip(),  # the settings have checked both
            chroma_url=os.environ.get("CHROMA_URL", "").strip(),
        )
        # The launcher takes the place of this process, so that Django's 50 MB do not stay in memory.
        os.chdir(settings.BASE_DIR)
        environment = {**os.environ, PLAN_VARIABLE: plan.to_json()}
        os.execve(sys.executable, [sys.executable, "-m", "launcher", "up"], environment)  # noqa: S606
