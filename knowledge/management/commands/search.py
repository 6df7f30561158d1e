"""`manage.py search "…" --base NAME [-k 5] [--json]`: retrieval only, with the scores of every stage."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from knowledge import retrieval, selectors
from knowledge.types import Passage, SearchResult
from llm import loops


class Command(BaseCommand):
    help = "Searches a knowledge base and shows the scores of every stage."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query")
        parser.add_argument("--base", required=True, help="name or short name of the knowledge base")
        parser.add_argument("-k", type=int, default=5, help="how many passages (default 5)")
        parser.add_argument("--language", default="", help="goes first among near-equals: en, sv, nb, ko")
        parser.add_argument("--explain", action="store_true", help="also what was found and not chosen, and why")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        base = selectors.base_named(options["base"])
        if base is None:
            raise CommandError(f"There is no knowledge base called {options['base']!r}.")
        if not 1 <= options["k"] <= 100:
            raise CommandError("-k must be from 1 to 100.")
        explained = loops.run(
            retrieval.explain(options["query"], bases=[base.pk], k=options["k"], language=options["language"])
        )
        left_out = [one for one in explained.candidates if one.why] if options["explain"] else []
        if options["json"]:
            more = {"left_out": [asdict(one) for one in left_out]} if options["explain"] else {}
            self.stdout.write(json.dumps(asdict(explained.result) | more, ensure_ascii=False))
        else:
            self._show(explained.result)
            for one in left_out:
                self.stdout.write(f"\nnot chosen ({one.why}): {_line(one.passage)}")

    def _show(self, found: SearchResult) -> None:
        if found.degraded:
            self.stderr.write("The vector index or the embedder does not answer: only words were searched.")
        self.stdout.write("Covered by the knowledge." if found.covered else "Not covered by the knowledge.")
        for number, passage in enumerate(found.passages, start=1):
            self.stdout.write(f"\n{number}. {_line(passage)}")
            self.stdout.write(passage.text)
        stages = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in found.timings.items())
        self.stderr.write(f"\n{stages}")


def _line(passage: Passage) -> str:
    stages = ", ".join(f"{name} {value}" for name, value in passage.scores.items() if value is not None)
    return f"{passage.title} · {passage.location}  [{passage.score}: {stages}]"
