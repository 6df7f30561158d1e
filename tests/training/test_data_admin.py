"""Pages of exports and data sets: what they show, and what is stored after them."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from training.datasets import build, services
from training.exports import services as exports
from training.models import DataSet, Example, Export, ExportSchedule

from .test_datasets import talks  # noqa: F401 (a fixture)
from .turns import make_turn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("talks")]


@pytest.fixture
def panel(ada):
    client = Client()
    client.force_login(ada)
    return client


def url(name: str, *arguments) -> str:
    return reverse(f"admin:training_{name}", args=arguments)


def seen(response) -> str:
    assert response.status_code == 200, response
    return response.content.decode()


def test_export_by_clicks(panel, consented):
    make_turn(consented, rating=1)
    assert "Only answers to people who agreed" in seen(panel.get(url("export_add")))
    part = seen(panel.get(url("export_funnel"), {"kind": "openai", "min_rating": "4", "languages": ["en"]}))
    assert 'data-out="30"' in part and "of 31 turns" in part and "rated too low" in part
    answer = panel.post(url("export_add"), {"kind": "openai", "min_rating": "4", "since": "2020-01-01"})
    export = Export.objects.get()
    assert answer.url == url("export_change", export.pk)
    assert export.filter["min_rating"] == 4 and export.filter["since"].startswith("2020-01-01")
    assert "waiting" in seen(panel.get(url("export_change", export.pk)))
    exports.run(export_id=export.pk)
    live = seen(panel.get(url("export_live", export.pk)))
    assert "data-over" in live and "Download" in live and "Fine-tuning with this file" in live
    assert len(b"".join(panel.get(url("export_file", export.pk)).streaming_content).splitlines()) == 30
    assert len(json.loads(b"".join(panel.get(url("export_manifest", export.pk)).streaming_content))["ids"]) == 30
    assert "openai" in seen(panel.get(url("export_changelist"))).lower()
    panel.post(url("export_delete", export.pk), {"post": "yes"})
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"kind": "openai", "min_rating": "9"}, "Select a valid choice"),
        ({"kind": "nothing"}, "Select a valid choice"),
        ({"kind": "csv", "since": "2026-02-02", "until": "2026-01-01"}, "ends before it begins"),
    ],
)
def test_a_wrong_filter_is_said_in_place_of_the_count(panel, wanted, words):
    assert words in seen(panel.get(url("export_funnel"), wanted))
    assert words in seen(panel.post(url("export_add"), wanted))
    assert not Export.objects.exists()


def test_export_is_cancelled(panel):
    export = exports.ask(kind="csv", given={})
    assert panel.get(url("export_cancel", export.pk)).status_code == 403
    panel.post(url("export_cancel", export.pk))
    export.refresh_from_db()
    assert export.state == "cancelled"


def test_schedules_are_checked(panel):
    data = {"kind": "openai", "every": "day", "keep": "3", "active": "on"}
    wrong = seen(panel.post(url("exportschedule_add"), {**data, "filter": '{"consented": false}'}))
    assert "cannot be switched off" in wrong and not ExportSchedule.objects.exists()
    assert panel.post(url("exportschedule_add"), {**data, "filter": '{"min_rating": 5}'}).status_code == 302
    assert ExportSchedule.objects.get().filter == {"min_rating": 5}


def test_data_set_by_clicks(panel, ada, talks):  # noqa: F811
    make_turn(
        talks[0],
        question="My boss Karin <b>Svensson</b> writes to me all night, what now?",
        answer="What would you say to Karin if you called 070-123 45 67 tomorrow?",
    )
    assert "With this filter now" in seen(panel.get(url("dataset_add")))
    assert 'data-out="31"' in seen(panel.get(url("dataset_funnel"), {"kind": "answers", "min_rating": "4"}))
    panel.post(url("dataset_add"), {"name": "Autumn", "kind": "answers", "held_out": "0.3", "seed": "4"})
    dataset = DataSet.objects.get()
    assert (dataset.name, dataset.held_out, dataset.seed, dataset.created_by) == ("Autumn", 0.3, 4, ada)
    assert "being built" in seen(panel.get(url("dataset_change", dataset.pk)))
    build.run(dataset_id=dataset.pk)
    page = seen(panel.get(url("dataset_change", dataset.pk)))
    assert "telephone numbers" in page and "Look through the examples" in page

    pages = [seen(panel.get(url("dataset_review", dataset.pk), {"page": n})) for n in (1, 2)]
    page = next(page for page in pages if "[PHONE_1]" in page)
    assert "<mark>[NAME_1]</mark>" in page and "&lt;b&gt;" in page and "<b>Svensson" not in page
    assert "070-123 45 67" in page  # as it was: ada may read conversations

    ids = list(dataset.examples.values_list("pk", flat=True))
    body = json.dumps({"ids": ids, "state": "approved"})
    said = panel.post(url("dataset_judge", dataset.pk), body, content_type="application/json").json()
    assert said == {"message": "31 examples changed"}
    assert dataset.examples.filter(state="approved", reviewed_by=ada).count() == 31
    body = json.dumps({"id": ids[0], "question": "By hand?", "answer": "By hand."})
    said = panel.post(url("dataset_edit", dataset.pk), body, content_type="application/json").json()
    assert said == {"question": "By hand?", "answer": "By hand."}
    assert Example.objects.get(pk=ids[0]).state == "proposed"
    panel.post(url("dataset_approve_all", dataset.pk))
    panel.post(url("dataset_freeze", dataset.pk))
    dataset.refresh_from_db()
    assert dataset.state == "frozen"
    assert json.loads(panel.get(url("dataset_manifest", dataset.pk)).content)["sha256"] == dataset.sha256
    body = json.dumps({"ids": ids, "state": "rejected"})
    refused = panel.post(url("dataset_judge", dataset.pk), body, content_type="application/json")
    assert refused.status_code == 409 and refused.json()["code"] == "not_open"
    assert "Train a model on it" in seen(panel.get(url("dataset_change", dataset.pk)))


def test_too_early_to_freeze(panel):
    dataset = build.run(dataset_id=services.create(name="Autumn").pk)
    page = seen(panel.post(url("dataset_freeze", dataset.pk), follow=True))
    assert "at least 10" in page and services.get(dataset.pk).state == "review"


@pytest.mark.parametrize("body", ["", "[]", '{"ids": ["x"], "state": "approved"}', '{"ids": [1]}'])
def test_garbage_to_the_review(panel, body):
    dataset = build.run(dataset_id=services.create(name="Autumn").pk)
    answer = panel.post(url("dataset_judge", dataset.pk), body, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["message"]


def test_who_may_see_the_original_and_who_may_do_what(bob):
    dataset = build.run(dataset_id=services.create(name="Autumn").pk)
    export = exports.ask(kind="csv", given={})
    client = Client()
    client.force_login(bob)
    assert client.get(url("dataset_review", dataset.pk)).status_code == 302  # to the sign-in
    bob.is_staff = True
    bob.save()
    assert client.get(url("dataset_review", dataset.pk)).status_code == 403
    assert client.get(url("export_change", export.pk)).status_code == 403
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_dataset", "view_export"]))
    assert "As it was" not in seen(client.get(url("dataset_review", dataset.pk)))
    for name in ("dataset_add", "dataset_funnel", "export_add", "export_funnel"):
        assert client.get(url(name)).status_code == 403
    for name in ("cancel", "freeze", "approve_all", "judge", "edit"):
        assert client.post(url(f"dataset_{name}", dataset.pk)).status_code == 403
    assert client.get(url("export_file", export.pk)).status_code == 403
    assert client.post(url("export_cancel", export.pk)).status_code == 403


def test_what_is_not_there(panel):
    assert panel.get(url("dataset_change", 99)).status_code == 404
    assert panel.get("/admin/training/dataset/x/change/").status_code == 404
    assert panel.get("/admin/training/export/x/change/").status_code == 404
