"""`manage.py prepare`, in this process and with the tests' database."""

from __future__ import annotations

import errno
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from accounts.models import User
from coach.management.commands import prepare as command
from coach.models import Coach
from knowledge.models import Document
from launcher.errors import StartError
from launcher.prepare import Prepared, _read
from llm import policy
from llm.errors import UnknownModel


def prepare(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("prepare", *arguments, stdout=out)
    return dict(json.loads(out.getvalue()))


@pytest.fixture
def installation(db: None, settings: Any, tmp_path: Path) -> Any:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "chat.css").write_text("body {}")
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATICFILES_DIRS = [tmp_path / "pages"]
    (tmp_path / "cache" / "e5-small-0").mkdir(parents=True)
    settings.CACHE_DIR = tmp_path / "cache"
    return settings


def test_everything_is_there_afterwards_and_a_second_time_changes_nothing(installation: Any) -> None:
    assert prepare() == {"notice": ""}

    assert set(Coach.objects.values_list("slug", flat=True)) == {"personal", "university"}
    documents = set(Document.objects.values_list("pk", flat=True))
    assert len(documents) >= 40
    collected = installation.STATIC_ROOT / "chat.css"
    assert collected.read_text() == "body {}"

    before = collected.stat().st_ino
    assert prepare() == {"notice": ""}
    assert set(Document.objects.values_list("pk", flat=True)) == documents
    assert collected.stat().st_ino == before


def test_changed_pages_are_collected_again_and_removed_ones_go(installation: Any) -> None:
    prepare()
    pages = Path(installation.STATICFILES_DIRS[0])
    (pages / "chat.css").unlink()
    (pages / "new.css").write_text("main {}")

    prepare()

    assert (installation.STATIC_ROOT / "new.css").read_text() == "main {}"
    assert not (installation.STATIC_ROOT / "chat.css").exists()


def test_the_first_admin_comes_from_the_environment_once(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare()
    assert not User.objects.filter(is_superuser=True).exists()

    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "root")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long secret")
    prepare()
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "second")
    prepare()

    admin = User.objects.get(is_superuser=True)
    assert (admin.username, admin.email) == ("root", "root@localhost")
    assert admin.check_password("a long secret")


def test_a_model_that_cannot_be_had_means_guided_mode(installation: Any) -> None:
    installation.COACH_MODELS = "llamacpp"
    installation.OFFLINE = True

    report = prepare()

    assert "model_path" not in report
    assert report["notice"].endswith(command.GUIDED_MODE)


def test_a_wrong_model_or_embedder_stops_the_start(installation: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("COACH_MODELS", "nonsense:x"), ("COACH_EMBEDDER", "nonsense")):
        old = getattr(installation, name)
        setattr(installation, name, value)
        out = StringIO()

        with pytest.raises(SystemExit) as raised:
            call_command("prepare", stdout=out)

        assert raised.value.code == 1
        assert "nonsense" in json.loads(out.getvalue())["error"]
        setattr(installation, name, old)


def test_the_server_serves_the_first_model_of_its_kind(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for models, wanted in (
        ("guided", None),
        ("openai:gpt-4o-mini", None),
        ("openai:gpt-4o-mini,llamacpp:smollm2-135m,llamacpp", "llamacpp:smollm2-135m"),
        ("llamacpp", "llamacpp"),
    ):
        settings.COACH_MODELS = models
        found = command._model_to_serve()
        assert (str(found) if found else None) == wanted

    settings.COACH_MODELS = ""
    monkeypatch.setattr(command, "ollama_chat_model", lambda: "")
    assert command._model_to_serve() == policy.EMBEDDED
    monkeypatch.setattr(command, "ollama_chat_model", lambda: "llama3.1")
    assert command._model_to_serve() is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "The disk is full; free some space and start again."),
        (OperationalError("database or disk is full"), "The disk is full; free some space and start again."),
        (
            OperationalError("connection refused\nIs the server running?"),
            "The database cannot be used (connection refused); check DATABASE_URL.",
        ),
        (CommandError("It cannot be had"), "It cannot be had."),
        (UnknownModel("x names no known provider."), "x names no known provider."),
    ],
)
def test_an_error_is_one_plain_sentence(error: Exception, sentence: str) -> None:
    assert command._sentence(error) == sentence


def test_the_launcher_reads_the_report() -> None:
    report = b'{"model_path": "/m.gguf", "model_name": "m", "notice": ""}'
    assert _read(0, b"something a library printed\n" + report) == Prepared("/m.gguf", "m", "")
    with pytest.raises(StartError, match=r"^The disk is full\.$"):
        _read(1, b'{"error": "The disk is full."}')
    with pytest.raises(StartError, match=r"exit code -9"):
        _read(-9, b"")
