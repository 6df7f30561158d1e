"""`manage.py rebuild_index [--base NAME] [--wait] [--json]`: Chroma and the lexical index anew from SQL."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from knowledge import generations, reindex, selectors
from knowledge.errors import KnowledgeError
from knowledge.management.generation_progress import State, wait, wanted_bases
from knowledge.models import IndexGeneration


class Command(BaseCommand):
    help = "Makes the vector index and the lexical index anew from the database, beside the ones in use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", default="", help="name or short name of the knowledge base; by default all")
        parser.add_argument("--wait", action="store_true", help="until it is in use, with progress on stderr")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        made: list[IndexGeneration] = []
        for base in wanted_bases(options["base"]):
            done = reindex.rewrite_words(base=base)
            self.stderr.write(f"{base.slug}: the words of {done} passages")
            try:
                found = generations.rebuild(base=base)
            except KnowledgeError as error:
                raise CommandError(f"{base.slug}: {error.message}") from error
            if found is not None:
                made.append(found)
        rows = wait(made, self.stderr.write) if options["wait"] else [selectors.generation_data(one) for one in made]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, cls=DjangoJSONEncoder))
        else:
            for row in rows:
                self.stdout.write(f"{row['state']:<10} {row['chunks']:>6} {row['base']} {row['error']}")
        if any(row["state"] in (State.FAILED, State.CANCELLED) for row in rows):
            raise CommandError("Not every index could be built.")
