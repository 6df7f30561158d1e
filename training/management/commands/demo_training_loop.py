"""`manage.py demo_training_loop`: from sixty made-up rated turns to a tuned model in the embedded server, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from coach.errors import Refusal
from llm.errors import LanguageModelError
from training.comparison.errors import ComparisonError
from training.demo import loop
from training.finetune.errors import FineTuneError


class Command(BaseCommand):
    help = "Shows the whole training loop on made-up turns: data set, LoRA, hot-load, promotion, roll-back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", default=loop.BASE, help="name of the catalogue; default %(default)s")
        parser.add_argument("--epochs", type=int, help="default 3")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {"epochs": options["epochs"]} if options["epochs"] else {}
        try:
            found = loop.run(say=self._say, options=given, base=options["base"])
        except (loop.DemoFailed, Refusal, FineTuneError, ComparisonError, LanguageModelError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(found), "fall": found.fall}, ensure_ascii=False))
            return
        self.stdout.write(f"\nAsked: {loop.QUESTION}\n\nBefore:\n{found.before}\n\nAfter:\n{found.after}\n")
        self.stdout.write(f"{found.model}: {found.examples} examples, {found.held_out} held out")
        self.stdout.write(f"held-out loss {found.loss_before:.3f} → {found.loss_after:.3f} (−{found.fall:.0%})")
        self.stdout.write(f"{found.seconds / 60:.1f} minutes; rolled back in {found.roll_back_seconds:.2f} s")

    def _say(self, line: str) -> None:
        self.stderr.write(line)
