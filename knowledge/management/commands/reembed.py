"""`manage.py reembed [--base NAME] [--model ID] [--wait] [--json]`: a new index beside the live one."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from knowledge import generations, selectors
from knowledge.errors import KnowledgeError
from knowledge.management.generation_progress import State, wait, wanted_bases


class Command(BaseCommand):
    help = "Builds a new index generation from the stored texts; it goes live when it is complete."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", default="", help="name or short name of the knowledge base; by default all")
        parser.add_argument("--model", default="", metavar="ID", help="embedder; by default COACH_EMBEDDER")
        parser.add_argument("--no-switch", action="store_true", help="leave it ready, for an admin to switch")
        parser.add_argument("--wait", action="store_true", help="until it is live, with progress on stderr")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        made = []
        for base in wanted_bases(options["base"]):
            try:
                made.append(
                    generations.start(base=base, embedder=options["model"], switch_when_ready=not options["no_switch"])
                )
            except KnowledgeError as error:
                raise CommandError(f"{base.slug}: {error.message}") from error
        rows = wait(made, self.stderr.write) if options["wait"] else [selectors.generation_data(one) for one in made]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, cls=DjangoJSONEncoder))
        else:
            for row in rows:
                self.stdout.write(
                    f"{row['state']:<10} {row['chunks']:>6} {row['base']} {row['embedder']} {row['error']}"
                )
                self._show_recall(row)
        if any(row["state"] in (State.FAILED, State.CANCELLED) for row in rows):
            raise CommandError("Not every index could be built.")
        if any(not row["passed"] for row in rows):
            raise CommandError("A new index finds less than the live one; an admin can switch all the same.")

    def _show_recall(self, row: dict[str, Any]) -> None:
        for language, found in row["recall"].items():
            self.stdout.write(
                f"  {language or '-':<3} recall@5 {found['live']:.3f} -> {found['new']:.3f},"
                f" {found['questions']} questions {found['why']}"
            )
