"""REST of fine-tunes and of jobs: who may, what is stored, what is said."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.training.finetune_rows import frozen_set, waiting_job
from training.models import DataSet, Export, FineTune

pytestmark = pytest.mark.django_db


def post(client: Client, path: str, data: Any = None) -> Any:
    return client.post(f"/api/v1{path}", data=json.dumps(data or {}), content_type="application/json")


@pytest.fixture
def admin(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    return str(path)


def test_start_look_cancel(admin: Client, ada: Any, model: str) -> None:
    dataset = frozen_set()
    body = {"where": "local", "dataset": dataset.pk, "base": model, "name": "autumn", "options": {"epochs": 2}}
    answer = post(admin, "/finetunes", body)
    assert answer.status_code == 202
    found = answer.json()
    assert (found["state"], found["options"]["epochs"], found["dataset"]["name"]) == ("waiting", 2, "Autumn")
    job = FineTune.objects.get()
    assert job.created_by == ada
    assert admin.get(f"/api/v1/finetunes/{job.pk}").json() == found
    assert [one["id"] for one in admin.get("/api/v1/finetunes").json()] == [str(job.pk)]
    assert post(admin, f"/finetunes/{job.pk}/cancel").json()["state"] == "cancelled"
    again = post(admin, f"/finetunes/{job.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "over")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"dataset": "Spring"}, 404, "not_found"),
        ({"where": "openai"}, 403, "cloud_off"),
        ({"where": "moon"}, 422, "invalid"),
        ({"options": {"epochs": 0}}, 422, "bad_options"),
        ({"options": {"colour": "red"}}, 422, "bad_options"),
        ({"name": "a b"}, 422, "bad_name"),
        ({"base": "nothing.gguf"}, 422, "bad_base"),
        ({"method": "dpo"}, 422, "wrong_kind"),
    ],
)
def test_refused(admin: Client, model: str, change: dict[str, Any], status: int, code: str) -> None:
    frozen_set()
    body = {"where": "local", "dataset": "Autumn", "base": model, "name": "autumn"}
    answer = post(admin, "/finetunes", body | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not FineTune.objects.exists()


def test_staff_with_the_permission_only(client: Client, alice: Any) -> None:
    job = waiting_job()
    client.force_login(alice)
    paths = ["/finetunes", f"/finetunes/{job.pk}", f"/jobs/finetune-{job.pk}"]
    assert {client.get(f"/api/v1{path}").status_code for path in paths} == {403}
    alice.is_staff = True
    alice.save()
    assert client.get("/api/v1/finetunes").status_code == 403
    assert client.get(f"/api/v1/jobs/{job.pk}").status_code == 404
    alice.user_permissions.add(Permission.objects.get(codename="view_finetune"))
    assert {client.get(f"/api/v1{path}").status_code for path in paths} == {200}
    assert post(client, f"/finetunes/{job.pk}/cancel").status_code == 403
    assert post(client, "/finetunes", {"where": "local", "dataset": 1, "base": "x", "name": "y"}).status_code == 403


def test_one_shape_for_every_long_job(admin: Client) -> None:
    job = waiting_job()
    export = Export.objects.create(kind="openai", state="running", done=3, total=4)
    dataset = DataSet.objects.get()
    shapes = []
    for name in (f"finetune-{job.pk}", str(job.pk), f"export-{export.pk}", f"dataset-{dataset.pk}"):
        answer = admin.get(f"/api/v1/jobs/{name}")
        assert answer.status_code == 200, name
        shapes.append(answer.json())
    assert len({tuple(sorted(one)) for one in shapes}) == 1
    assert shapes[0] == shapes[1]
    assert [one["kind"] for one in shapes] == ["finetune", "finetune", "export", "dataset"]
    assert [one["progress"] for one in shapes] == [0.0, 0.0, 0.75, 1.0]
    assert [one["over"] for one in shapes] == [False, False, False, True]
    for name in ("x", "finetune-x", "dataset-99", str(uuid.uuid4()), "evaluation-1"):
        assert admin.get(f"/api/v1/jobs/{name}").json()["code"] == "not_found"
