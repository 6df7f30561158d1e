"""Files that hold what somebody has taken back are marked: by consent, a conversation kept out, or a deleted one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.services import create_token, set_consent
from coach.models import Conversation
from training import tasks_consent, wake
from training.exports import marks, services, writing
from training.models import Export

from .turns import make_turn

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def data_folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def mine(consented: Conversation, data_folder: Path) -> Export:
    make_turn(consented)
    return made("sessions")


def made(kind: str, **given: Any) -> Export:
    export = services.ask(kind=kind, given=given)
    services.run(export_id=export.pk)
    export.refresh_from_db()
    assert (export.state, export.error) == ("done", "")
    return export


def is_marked(export: Export) -> bool:
    export.refresh_from_db()
    return export.stale is not None


def test_nothing_was_taken_back(mine: Export) -> None:
    assert marks.mark() == 0 and not is_marked(mine)
    assert mine.looked
    with connection.execute_wrapper(no_ids):  # the second time the manifest is not read
        marks.mark()


def no_ids(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    assert '"coach_turn"."id" IN' not in sql
    return execute(sql, params, many, context)


def test_consent_is_taken_back(mine: Export, alice: User) -> None:
    marks.mark()
    set_consent(user_id=alice.pk, given=False, wording="")
    assert marks.mark() == 1 and is_marked(mine)
    when = mine.stale
    assert marks.mark(at_once=True) == 0  # once is enough
    mine.refresh_from_db()
    assert mine.stale == when


def test_a_conversation_is_kept_out(mine: Export, consented: Conversation) -> None:
    marks.mark()
    Conversation.objects.filter(pk=consented.pk).update(kept_out=True)
    tasks_consent.mark_exports()
    assert is_marked(mine)


def test_a_conversation_is_deleted(mine: Export, consented: Conversation) -> None:
    marks.mark()
    consented.delete()
    tasks_consent.mark_exports()
    assert is_marked(mine)


def test_what_others_take_back_marks_nothing(mine: Export, bob: User, consented: Conversation) -> None:
    marks.mark()
    theirs = Conversation.objects.create(owner=bob, coach=consented.coach, kept_out=True)
    make_turn(theirs).delete()
    set_consent(user_id=bob.pk, given=False, wording="")
    assert marks.mark() == 0 and not is_marked(mine)


def test_the_cloud_only_concerns_files_made_for_it(consented: Conversation, alice: User, data_folder: Path) -> None:
    set_consent(user_id=alice.pk, given=True, cloud=True, wording="")
    make_turn(consented)
    here, there = made("openai"), made("openai", cloud=True)
    marks.mark()
    set_consent(user_id=alice.pk, given=True, cloud=False, wording="")
    assert marks.mark() == 1
    assert (is_marked(here), is_marked(there)) == (False, True)


def test_the_mark_outlives_the_file(mine: Export, alice: User, data_folder: Path) -> None:
    set_consent(user_id=alice.pk, given=False, wording="")
    marks.mark(at_once=True)
    shutil.rmtree(data_folder / "exports")
    marks.mark(at_once=True)
    assert is_marked(mine)


def test_a_file_that_is_gone_stops_nobody(mine: Export, alice: User, consented: Conversation) -> None:
    shutil.rmtree(services.file_of(mine).parent)
    make_turn(consented)
    second = made("csv")
    set_consent(user_id=alice.pk, given=False, wording="")
    assert marks.mark() == 1 and is_marked(second) and not is_marked(mine)


def test_ids_of_a_long_manifest(consented: Conversation, data_folder: Path, monkeypatch: Any) -> None:
    turns = [make_turn(consented) for _ in range(7)]
    export = made("sessions")
    path = services.manifest_of(export)
    assert list(marks.turn_ids(path)) == json.loads(path.read_text())["ids"]
    assert sorted(marks.turn_ids(path)) == sorted(str(turn.pk) for turn in turns)
    monkeypatch.setattr(marks, "AT_ONCE", 3)
    assert marks.mark() == 0
    turns[-1].delete()
    assert marks.mark() == 1
    assert writing.manifest_path(services.file_of(export)) == path


def test_people_say_it_and_a_worker_is_asked(
    client: Client,
    mine: Export,
    consented: Conversation,
    alice: User,
    monkeypatch: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr("llm.wake.send", lambda task, queue, *given, seconds=0.0: sent.append((task, given)))
    headers = {"Authorization": f"Bearer {create_token(user=alice)}"}
    with django_capture_on_commit_callbacks(execute=True):
        address = f"/api/v1/conversations/{consented.pk}/training"
        client.put(address, {"kept_out": True}, JSON, headers=headers)
        client.put(address, {"kept_out": False}, JSON, headers=headers)
        client.put("/api/v1/me/consent", {"training": False}, JSON, headers=headers)
    assert sent == [(wake.MARK, (True,)), (wake.MARK, (False,))]
    assert tasks_consent.mark_exports.name == wake.MARK
    tasks_consent.mark_exports(*sent[1][1])
    assert is_marked(mine)


def test_pages_and_api_say_it(client: Client, mine: Export, ada: User) -> None:
    page = reverse("admin:training_export_change", args=[mine.pk])
    client.force_login(ada)
    words = "Somebody in it took consent back"
    assert words not in client.get(page).content.decode()
    assert client.get(f"/api/v1/exports/{mine.pk}").json()["stale"] is None
    Export.objects.update(stale=timezone.now())
    assert words in client.get(page).content.decode()
    listed = client.get(reverse("admin:training_export_changelist")).content.decode()
    assert "onsent was taken back" in listed
    assert client.get("/api/v1/exports").json()[0]["stale"] is not None
