"""`manage.py prepare`: everything that must be there before the processes start, in one go.

Each part is done only if needed, so that a second start costs next to nothing. Progress goes to
stderr; stdout gets one JSON document: `{"model_path","model_name","notice"}`, or `{"error"}` with
exit code 1.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.selectors import setup_needed
from knowledge.embedding import registry
from knowledge.embedding.errors import EmbedderUnavailable
from llm.catalogue import find, model_path
from llm.embedded import adapter_name
from llm.endpoints import checked_models
from llm.errors import UnknownModel
from llm.management.commands.fetchmodels import NOT_TO_BE_HAD
from llm.policy import EMBEDDED, ollama_chat_model
from llm.types import ModelId

GUIDED_MODE = "Starting in guided mode: answers are quoted passages; the next start tries again."


class Command(BaseCommand):
    help = "Migrations, static files, starter knowledge, coaches, first admin and models: each only if needed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-model-server", action="store_true", help="no embedded language model is wanted")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _migrate()
            _collect_static()
            call_command("create_default_coaches", verbosity=0, stderr=StringIO())
            call_command("load_starter_knowledge", verbosity=0, stderr=StringIO())
            _create_admin()
            _prepare_embedder()
            report = {"notice": ""} if options["no_model_server"] else _fetch_model()
        except (CommandError, DatabaseError, OSError, UnknownModel, EmbedderUnavailable) as error:
            self.stdout.write(json.dumps({"error": _sentence(error)}))
            sys.exit(1)
        self.stdout.write(json.dumps(report))


def _sentence(error: Exception) -> str:
    # SQLite says "database or disk is full", PostgreSQL "No space left on device".
    full = "disk is full" in str(error) or os.strerror(errno.ENOSPC) in str(error)
    if full or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return "The disk is full; free some space and start again."
    if isinstance(error, OperationalError):
        return f"The database cannot be used ({str(error).strip().splitlines()[0]}); check DATABASE_URL."
    text = str(error).strip() or type(error).__name__
    return text if text.endswith(".") else f"{text}."


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)


def _collect_static() -> None:
    """Only when a file, or what processes it, has changed since: told by a stamp beside the collected files."""
    stamp = Path(settings.STATIC_ROOT) / ".stamp"
    wanted = _static_stamp()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    stamp.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0, clear=True, skip_checks=True)
    stamp.write_text(wanted, encoding="ascii")


def _static_stamp() -> str:
    digest = hashlib.sha256(f"{django.__version__} {settings.STORAGES['staticfiles']['BACKEND']}".encode())
    for path, name in sorted(_static_files(), key=lambda found: found[1]):
        state = os.stat(path)
        digest.update(f"\n{name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()


def _static_files() -> Iterator[tuple[str, str]]:
    for finder in get_finders():
        for name, storage in finder.list([]):
            yield storage.path(name), f"{getattr(storage, 'prefix', None) or ''}/{name}"


def _create_admin() -> None:
    """The first administrator from Django's own environment variables, when they are set and none exists."""
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME")
    if name and os.environ.get("DJANGO_SUPERUSER_PASSWORD") and setup_needed():
        email = os.environ.get("DJANGO_SUPERUSER_EMAIL") or f"{name}@localhost"
        call_command("createsuperuser", interactive=False, username=name, email=email, verbosity=0)


def _prepare_embedder() -> None:
    """Convert the default embedder's weights before runner and worker ask for them; once a machine."""
    wrong = registry.check(settings.COACH_EMBEDDER)
    if wrong:
        raise CommandError(wrong)
    if settings.COACH_EMBEDDER == "e5-small" and not any(Path(settings.CACHE_DIR).glob("e5-small-*")):
        registry.embedder()


def _model_to_serve() -> ModelId | None:
    """The model of our own server: the first `llamacpp` of COACH_MODELS; the default one when nothing is named
    and no Ollama runs. Raises UnknownModel."""
    named = checked_models(settings.COACH_MODELS)
    if named:
        return next((model for model in named if model.provider == EMBEDDED.provider and not adapter_name(model)), None)
    return None if ollama_chat_model() else EMBEDDED


def _fetch_model() -> dict[str, str]:
    """What the launcher wants to know about the model server. Without a model the start goes on in guided mode."""
    wanted = _model_to_serve()
    if wanted is None:
        using = "" if settings.COACH_MODELS else f"Using the Ollama at {settings.OLLAMA_BASE_URL}."
        return {"notice": using}
    try:
        call_command("fetchmodels", if_missing=True)
    except CommandError as error:
        if error.returncode != NOT_TO_BE_HAD:
            raise
        return {"notice": f"{_sentence(error)} {GUIDED_MODE}"}
    path = model_path(wanted).absolute()
    entry = find(wanted.name)
    return {"model_path": str(path), "model_name": entry.name if entry else path.stem, "notice": ""}
