"""REST of exports and data sets, over the application's own addresses."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from training.datasets import build
from training.exports import services as exports
from training.models import DataSet, Export

from .test_datasets import talks  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("talks")]
ADDRESSES = ("exports", "datasets")


@pytest.fixture
def api(ada):
    client = Client()
    client.force_login(ada)
    return client


def post(client: Client, path: str, data: dict | None = None, *, method: str = "post"):
    return getattr(client, method)(f"/api/v1/{path}", json.dumps(data or {}), content_type="application/json")


def test_an_export_from_the_wish_to_the_file(api):
    made = post(api, "exports", {"kind": "openai", "filter": {"min_rating": 4}})
    assert made.status_code == 201 and made.json()["state"] == "waiting"
    path = f"/api/v1/exports/{made.json()['id']}"
    assert api.get(f"{path}/file").json()["code"] == "no_file"
    exports.run(export_id=Export.objects.get().pk)
    done = api.get(path).json()
    assert (done["state"], done["progress"], done["rows"]) == ("done", 1.0, 30)
    file = api.get(f"{path}/file")
    assert "attachment" in file["Content-Disposition"]
    assert hashlib.sha256(b"".join(file.streaming_content)).hexdigest() == done["manifest"]["sha256"]
    manifest = json.loads(b"".join(api.get(f"{path}/manifest").streaming_content))
    assert len(manifest["ids"]) == 30 and "ids" not in done["manifest"]
    assert [row["id"] for row in api.get("/api/v1/exports").json()] == [done["id"]]
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["code"] == "not_found"


def test_an_export_is_cancelled(api):
    made = post(api, "exports", {"kind": "csv"}).json()
    assert post(api, f"exports/{made['id']}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "poems"},
        {"kind": "csv", "filter": {"consented": False}},
        {"kind": "openai", "filter": {"no_safety": False}},
        {"kind": "csv", "filter": {"min_rating": 7}},
        {"kind": "csv", "filter": {"x": 1}},
    ],
)
def test_wrong_exports_are_refused_in_words(api, data):
    answer = post(api, "exports", data)
    assert answer.status_code == 422 and answer.json()["code"] == "wrong_filter" and answer.json()["message"]
    assert not Export.objects.exists()


def test_a_data_set_from_the_wish_to_the_files(api):
    made = post(api, "datasets", {"name": "Autumn", "held_out": 0.3}).json()
    path = f"datasets/{made['id']}"
    assert made["state"] == "building" and made["progress"] == 0
    build.run(dataset_id=made["id"])
    examples = api.get(f"/api/v1/{path}/examples").json()
    assert len(examples) == 30 and examples[0]["prompt"][0]["role"] == "system"
    assert len(api.get(f"/api/v1/{path}/examples?after={examples[9]['id']}").json()) == 20
    changed = post(api, f"{path}/examples/{examples[0]['id']}", {"answer": "By hand."}, method="put").json()
    assert changed["answer"] == "By hand."
    assert post(api, f"{path}/freeze").json()["code"] == "too_few"
    assert post(api, f"{path}/decisions", {"state": "approved"}).json() == {"changed": 30}
    one = {"state": "rejected", "examples": [examples[1]["id"]]}
    assert post(api, f"{path}/decisions", one).json() == {"changed": 1}
    frozen = post(api, f"{path}/freeze").json()
    assert frozen["state"] == "frozen"
    manifest = api.get(f"/api/v1/{path}/manifest").json()
    for split in ("train", "held_out"):
        data = b"".join(api.get(f"/api/v1/{path}/files/{split}.jsonl").streaming_content)
        assert hashlib.sha256(data).hexdigest() == manifest["files"][f"{split}.jsonl"]["sha256"]
    assert post(api, f"{path}/decisions", one).json()["code"] == "not_open"
    assert api.delete(f"/api/v1/{path}").status_code == 204


def test_a_data_set_is_cancelled(api):
    made = post(api, "datasets", {"name": "Autumn"}).json()
    assert post(api, f"datasets/{made['id']}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize("data", [{"name": ""}, {"name": "x", "held_out": 2}, {"name": "x", "kind": "poems"}])
def test_wrong_sets_are_refused(api, data):
    assert post(api, "datasets", data).status_code == 422
    assert not DataSet.objects.exists()


def test_only_for_those_who_may(api, bob, ada):
    client = Client()
    assert [client.get(f"/api/v1/{name}").status_code for name in ADDRESSES] == [401, 401]
    client.force_login(bob)
    assert [client.get(f"/api/v1/{name}").json()["code"] for name in ADDRESSES] == ["forbidden"] * 2
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_export", "view_dataset"]))
    assert [client.get(f"/api/v1/{name}").status_code for name in ADDRESSES] == [200, 200]
    assert post(client, "exports", {"kind": "csv"}).status_code == 403
    assert post(client, "datasets", {"name": "x"}).status_code == 403
    export = exports.ask(kind="csv", given={})
    exports.run(export_id=export.pk)
    assert client.get(f"/api/v1/exports/{export.pk}/file").status_code == 403
    assert client.delete(f"/api/v1/exports/{export.pk}").status_code == 403
    exports.delete(export_id=export.pk)
