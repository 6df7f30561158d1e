"""`manage.py ingest PATH… --base NAME [--wait] [--json]`: adds files, folders or addresses to a knowledge base."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from knowledge import ingest, selectors, services, web
from knowledge.embedding.errors import EmbedderUnavailable
from knowledge.errors import IndexUnavailable, KnowledgeError
from knowledge.loaders import ARCHIVE, REGISTRY
from knowledge.models import Document, KnowledgeBase
from knowledge.wake import wake_worker
from llm.wake import worker_answers

State = Document.State
POLL_SECONDS = 0.5
UNFINISHED = (State.PENDING, State.PROCESSING)


class Command(BaseCommand):
    help = "Adds files, folders or web addresses to a knowledge base, which is made if it is not there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or https://…")
        parser.add_argument("--base", required=True, help="name or short name of the knowledge base")
        parser.add_argument("--language", default="", help="of all these files: en, sv, nb, ko")
        parser.add_argument("--wait", action="store_true", help="until all are indexed, with progress on stderr")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        addresses = [path for path in options["paths"] if path.startswith(("https://", "http://"))]
        files = list(_files([Path(path) for path in options["paths"] if path not in addresses]))
        if not files and not addresses:
            known = ", ".join((*REGISTRY, ARCHIVE))
            raise CommandError(f"There is no file of a known type ({known}) in these places.")
        base = self._base(options["base"])
        ids, refused = self._add(base, [*files, *addresses], options["language"])
        wake_worker()
        if options["wait"]:
            self._wait(ids)
        documents = [selectors.document_data(document) for document in selectors.documents(ids)]
        if options["json"]:
            result = {"base": base.slug, "documents": documents, "refused": refused}
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            for document in documents:
                self.stdout.write(
                    f"{document['state']:<10} {document['chunks']:>5} {document['filename']} {document['error']}"
                )
        failed = [document for document in documents if document["state"] == State.FAILED]
        if refused or failed:
            raise CommandError(
                f"{len(refused) + len(failed)} of {len(files) + len(addresses)} files could not be added."
            )

    def _base(self, name: str) -> KnowledgeBase:
        try:
            return selectors.base_named(name) or services.create_base(name=name)
        except KnowledgeError as error:
            raise CommandError(error.message) from error

    def _add(
        self, base: KnowledgeBase, files: Sequence[Path | str], language: str
    ) -> tuple[list[UUID], list[dict[str, str]]]:
        ids: list[UUID] = []
        refused: list[dict[str, str]] = []
        for path in files:
            try:
                with _opened(path) as (name, content):
                    url = path if isinstance(path, str) else ""
                    # Files of one name in several folders are different files.
                    added = services.add_documents(
                        base=base, files=[(name, content)], language=language, url=url, beside=ids
                    )
                ids += [document.pk for document in added]
            except KnowledgeError as error:
                refused.append({"file": str(path), "code": error.code, "error": error.message})
            except OSError as error:
                refused.append({"file": str(path), "code": "unreadable", "error": str(error.strerror)})
            if refused and refused[-1]["file"] == str(path):
                self.stderr.write(f"{path}: {refused[-1]['error']}")
        return list(dict.fromkeys(ids)), refused

    def _wait(self, ids: Sequence[UUID]) -> None:
        """Until every document is ready, failed or cancelled; does the work itself when no worker answers."""
        if not worker_answers():
            self.stderr.write("No worker answers; indexing here.")
            self._index_here(ids)
        shown = ""
        while True:
            documents = selectors.documents(ids)
            unfinished = [document for document in documents if document.state in UNFINISHED]
            share = sum(selectors.progress(document) for document in documents) / max(1, len(documents))
            line = f"{len(documents) - len(unfinished)} of {len(documents)} documents, {share:.0%}"
            if line != shown:
                self.stderr.write(line)
                shown = line
            if not unfinished:
                return
            time.sleep(POLL_SECONDS)

    def _index_here(self, ids: Sequence[UUID]) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        try:
            while Document.objects.filter(pk__in=ids, state__in=UNFINISHED).exists():
                if not ingest.process_pending(worker, time.monotonic() + 10):
                    time.sleep(POLL_SECONDS)  # someone else works on them
                done = Document.objects.filter(pk__in=ids).exclude(state__in=UNFINISHED).count()
                self.stderr.write(f"{done} of {len(ids)} documents")
        except (EmbedderUnavailable, IndexUnavailable) as error:
            raise CommandError(str(error)) from error


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, content) of a file or of what is at an address. Raises OSError, KnowledgeError."""
    if isinstance(path, str):
        found = web.fetch(path)
        yield found.filename, io.BytesIO(found.content)
    else:
        with path.open("rb") as content:
            yield path.name, content


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as named; of folders all files of known types below them, hidden ones left out."""
    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
                if found.is_file() and not hidden and found.suffix.lower() in (*REGISTRY, ARCHIVE):
                    yield found
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"{path} is neither a file nor a folder.")
