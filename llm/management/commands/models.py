"""`manage.py models list|pull|remove|test [--json]`: the local models of every provider."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _
from tqdm import tqdm

from llm import local_models
from llm.catalogue import LocalFile, WebFile, models_dir
from llm.download import DownloadError, Progress, fetch
from llm.errors import LanguageModelError
from llm.fetching import fetch_model, own_file, refuse_early, wanted
from llm.local_errors import BadFile, Refusal
from llm.loops import close_clients
from llm.trial import Trial, try_out

INTERRUPTED = 130


class Command(BaseCommand):
    help = "Lists, fetches, removes and tries out language models on this machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what is installed, and the catalogue with what fits this machine")
        pull = actions.add_parser("pull", help="fetch a model; started again it goes on where it stopped")
        pull.add_argument(
            "model", help="NAME of the catalogue, ollama:NAME, huggingface:ORG/REPO, llamacpp:ORG/REPO/FILE.gguf"
        )
        pull.add_argument("--from", dest="source", default="", help="a GGUF file or its address; MODEL names it then")
        pull.add_argument("--sha256", default="", help="of that file; needed for an address")
        remove = actions.add_parser("remove", help="delete a model from this machine")
        remove.add_argument("model")
        test = actions.add_parser("test", help="one short real answer, with its speed")
        test.add_argument("model")
        for action in (listing, pull, remove, test):
            action.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        action = {"list": self._list, "pull": self._pull, "remove": self._remove, "test": self._test}
        try:
            document, text = action[options["action"]](options)
        except (LanguageModelError, DownloadError, Refusal) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                _("The database cannot be read (%(reason)s); run `manage.py migrate`.") % {"reason": error}
            ) from error
        except KeyboardInterrupt:
            raise CommandError(_("Stopped; started again it goes on from here."), returncode=INTERRUPTED) from None
        self.stdout.write(json.dumps(document, ensure_ascii=False) if options["json"] else text)

    def _list(self, _options: dict[str, Any]) -> tuple[Any, str]:
        found = local_models.overview()
        return found, "\n".join(_table(found))

    def _pull(self, options: dict[str, Any]) -> tuple[Any, str]:
        with _Bar() as bar:
            if options["source"]:
                model, place = _from(options["model"], options["source"], options["sha256"].lower(), bar.show)
            else:
                name = wanted(options["model"])
                refuse_early(name)
                model, place = str(name), fetch_model(name, bar.show)
        return {"model": model, "place": place}, f"{model}: {place}"

    def _remove(self, options: dict[str, Any]) -> tuple[Any, str]:
        name = local_models.remove(model=options["model"])
        return {"removed": name}, _("%(model)s was removed.") % {"model": name}

    def _test(self, options: dict[str, Any]) -> tuple[Any, str]:
        found = asyncio.run(_tried(options["model"]))
        figures = f"{found.first_token_seconds} s, {found.tokens_per_second} tokens/s"
        return asdict(found), f"{found.answer}\n{found.model}: {figures}"


async def _tried(model: str) -> Trial:
    try:
        return await try_out(model)
    finally:
        await close_clients()


def _from(name: str, source: str, sha256: str, show: Any) -> tuple[str, str]:
    """A file of one's own, from a folder or an address. Raises BadFile, DownloadError."""
    if sha256:
        local_models.refuse_a_wrong_hash_text(sha256)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}", name):
        raise BadFile(_("Name the model with letters, digits, dots and dashes only."))
    at: WebFile | LocalFile = LocalFile(Path(source).expanduser().absolute())
    if source.startswith(("https://", "http://")):
        if not sha256:
            raise BadFile(_("A file from an address needs its --sha256, so that it can be checked."))
        at = WebFile(source)
    entry = own_file(name, at, sha256)
    known = {found["name"] for found in local_models.overview()["catalogue"]}
    if name in known:
        raise BadFile(_("%(name)s is a name of the catalogue; choose another.") % {"name": name})
    path = fetch(entry, models_dir(), show, offline=settings.OFFLINE)
    return f"llamacpp:{path.name}", str(path)


def _table(found: dict[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    yield _("This machine: %(memory).1f GB memory, %(cores)d cores") % {
        "memory": machine["memory_bytes"] / 1e9,
        "cores": machine["cores"],
    }
    yield ""
    for model in found["installed"]:
        used = _("in use") if model["in_use"] else ""
        yield f"  {model['model']:<44} {model['bytes'] / 1e9:>6.2f} GB  {used} {model['detail']}".rstrip()
    yield ""
    for entry in found["catalogue"]:
        fits = (
            "++" if entry["recommended"] else "+" if entry["fits"] and entry["quick"] else "~" if entry["fits"] else "-"
        )
        size = f"{'~' if entry['approximate'] else ''}{entry['bytes'] / 1e9:.2f} GB"
        here = _("installed") if entry["installed"] else ""
        languages = " ".join(entry["languages"])
        yield f"{fits:>2} {entry['name']:<22} {size:>9}  {languages:<12} {entry['licence']:<24} {here}".rstrip()
    yield ""
    yield _("++ recommended, + fits, ~ fits but is slow, - needs more memory")


class _Bar:
    """A progress line on stderr: bytes, rate, time left; a new one for the check."""

    def __init__(self) -> None:
        self._stage = ""
        self._line: tqdm[Any] | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._line is not None:
            self._line.close()

    def show(self, progress: Progress) -> None:
        if self._line is None or progress.stage != self._stage:
            if self._line is not None:
                self._line.n = self._line.total or self._line.n
            self.__exit__()
            self._stage = progress.stage
            checking = _("checking %(name)s") % {"name": progress.name}
            title = progress.name if progress.stage == "download" else checking
            self._line = tqdm(initial=progress.done, unit="B", unit_scale=True, desc=title, file=sys.stderr)
        self._line.total = progress.total or None
        self._line.n = progress.done
        self._line.update(0)
