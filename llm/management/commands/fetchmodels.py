"""Fetch the model files this installation needs."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from tqdm import tqdm

from llm.catalogue import DEFAULT, Entry, entries, find, model_path, models_dir
from llm.download import DownloadError, Progress, fetch
from llm.embedded import adapter_name
from llm.errors import UnknownModel
from llm.policy import ollama_chat_model
from llm.registry import parse_models

NOT_TO_BE_HAD = 3


class Command(BaseCommand):
    help = "Fetch model files and check them. Without names: what COACH_MODELS needs. Exit code 3: not to be had."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", help="names of the catalogue: " + ", ".join(entries()))
        parser.add_argument("--if-missing", action="store_true", help="trust a file that was checked before")
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = named_entries(options["names"]) if options["names"] else needed_entries()
        except UnknownModel as error:
            raise CommandError(str(error)) from error
        found = []
        for entry in wanted:
            try:
                with _Bar(entry) as bar:
                    path = fetch(
                        entry, models_dir(), bar.show, offline=settings.OFFLINE, recheck=not options["if_missing"]
                    )
            except DownloadError as error:
                raise CommandError(str(error), returncode=NOT_TO_BE_HAD) from error
            found.append({"name": entry.name, "path": str(path), "bytes": entry.bytes})
        if options["json"]:
            self.stdout.write(json.dumps({"models": found}))


def named_entries(names: list[str]) -> list[Entry]:
    """Raises UnknownModel for a name that is not in the catalogue."""
    unknown = [name for name in names if name not in entries()]
    if unknown:
        raise UnknownModel(
            _("The catalogue has no %(name)s; it has %(names)s.")
            % {"name": ", ".join(unknown), "names": ", ".join(entries())}
        )
    return [entries()[name] for name in names]


def needed_entries() -> list[Entry]:
    """What COACH_MODELS names of the catalogue; the default model when nothing is named and no Ollama runs.

    Raises UnknownModel when COACH_MODELS is malformed or names a GGUF file that is not there.
    """
    named = parse_models(settings.COACH_MODELS)
    if not named:
        return [] if ollama_chat_model() else [entries()[DEFAULT]]
    found = []
    for model_id in named:
        if model_id.provider != "llamacpp" or adapter_name(model_id):
            continue
        entry = find(model_id.name)
        if entry is not None:
            found.append(entry)
        elif not model_path(model_id).is_file():
            raise UnknownModel(_("The model file %(path)s does not exist.") % {"path": model_path(model_id)})
    return found


class _Bar:
    """A progress line on stderr: bytes, rate, time left."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._stage = ""
        self._line: tqdm[Any] | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()

    def show(self, progress: Progress) -> None:
        if self._line is None or progress.stage != self._stage:
            self.__exit__()
            self._stage = progress.stage
            title = (
                self._entry.name if progress.stage == "download" else _("checking %(name)s") % {"name": progress.name}
            )
            self._line = tqdm(
                total=progress.total, initial=progress.done, unit="B", unit_scale=True, desc=title, file=sys.stderr
            )
        self._line.n = progress.done
        self._line.update(0)
