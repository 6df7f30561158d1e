"""`/api/v1/models`: what staff can do over HTTP, and the admin page on top of it."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any
from uuid import uuid4

import pytest
from django.test import AsyncClient, Client

from llm import pulls
from llm.catalogue import Entry, entries, models_dir
from llm.models import ModelPull

from .model_sources import CONTENT, OllamaServer

pytestmark = pytest.mark.django_db
URL = "/api/v1/models"


@pytest.fixture
def staff(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def _post(client: Client, url: str, **body: Any) -> Any:
    return client.post(url, json.dumps(body), content_type="application/json")


def test_everything_in_one_answer(small_catalogue: dict[str, Entry], staff: Client) -> None:
    _post(staff, f"{URL}/pulls", model="known")
    found = staff.get(URL).json()
    assert set(found) == {"machine", "installed", "catalogue", "recommended", "pulls"}
    assert found["installed"] == []
    assert [entry["name"] for entry in found["catalogue"]] == ["known", "unknown", "other"]
    assert found["catalogue"][0] == {
        "name": "known",
        "model": "llamacpp:known",
        "title": "known",
        "ollama": "",
        "bytes": len(CONTENT),
        "approximate": False,
        "sha256": small_catalogue["known"].sha256,
        "memory_bytes": 2_000_000,
        "context_tokens": 512,
        "languages": ["en"],
        "licence": "MIT",
        "capabilities": [],
        "note": "",
        "fits": True,
        "quick": True,
        "recommended": True,
        "installed": False,
        "partial_bytes": 0,
    }
    assert [(row["model"], row["state"]) for row in found["pulls"]] == [("llamacpp:known", "waiting")]


def test_a_pull_from_the_first_request_to_the_file(small_catalogue: dict[str, Entry], staff: Client) -> None:
    answer = _post(staff, f"{URL}/pulls", model="known")
    assert answer.status_code == 202
    row = answer.json()
    assert (row["model"], row["state"], row["bytes_total"]) == ("llamacpp:known", "waiting", len(CONTENT))
    pulls.run_slice(pull_id=ModelPull.objects.get().pk)
    row = staff.get(f"{URL}/pulls/{row['id']}").json()
    assert (row["state"], row["bytes_done"]) == ("done", len(CONTENT))
    assert [model["model"] for model in staff.get(URL).json()["installed"]] == ["llamacpp:known"]
    assert staff.delete(f"{URL}/pulls/{row['id']}").json()["code"] == "not_pulling"
    assert staff.delete(f"{URL}/llamacpp:known").status_code == 204
    assert not (models_dir() / "known.gguf").exists()
    gone = staff.delete(f"{URL}/llamacpp:known")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_installed")


def test_cancelling(small_catalogue: dict[str, Entry], staff: Client) -> None:
    row = _post(staff, f"{URL}/pulls", model="known").json()
    assert staff.delete(f"{URL}/pulls/{row['id']}").json()["state"] == "cancelled"
    assert [found["state"] for found in staff.get(f"{URL}/pulls").json()] == ["cancelled"]
    assert staff.get(f"{URL}/pulls/{uuid4()}").status_code == 404


def test_names_with_slashes_and_colons(ollama_server: OllamaServer, staff: Client, settings: Any) -> None:
    settings.COACH_MODELS = "guided"
    ollama_server.add("library/llama3.2:3b")
    assert staff.delete(f"{URL}/ollama%3Alibrary/llama3.2%3A3b").status_code == 204
    assert ollama_server.tags == []


def test_refusals_have_their_status_and_one_sentence(
    small_catalogue: dict[str, Entry], staff: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(answer: Any) -> tuple[int, str]:
        found = answer.json()
        assert set(found) == {"code", "message"}
        assert found["message"].endswith(".")
        return answer.status_code, found["code"]

    assert refusal(_post(staff, f"{URL}/pulls", model="gpt-5")) == (422, "unknown_model")
    assert refusal(_post(staff, f"{URL}/pulls")) == (422, "invalid")
    settings.COACH_MODELS = "llamacpp:known"
    assert refusal(staff.delete(f"{URL}/known")) == (409, "in_use")
    assert refusal(staff.post(f"{URL}/known/test")) == (404, "not_installed")
    settings.OFFLINE = True
    assert refusal(_post(staff, f"{URL}/pulls", model="ollama:m")) == (503, "no_network")
    settings.OFFLINE = False
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(9, 9, 9))  # type: ignore[attr-defined]
    assert refusal(_post(staff, f"{URL}/pulls", model="known")) == (507, "disk")


def test_coachees_may_do_none_of_it(client: Client, alice: Any) -> None:
    client.force_login(alice)
    pull = uuid4()
    for method, path in (
        ("get", ""),
        ("get", "/pulls"),
        ("post", "/pulls"),
        ("get", f"/pulls/{pull}"),
        ("delete", f"/pulls/{pull}"),
        ("delete", "/known"),
        ("post", "/known/test"),
    ):
        body = {"data": '{"model": "known"}', "content_type": "application/json"} if method == "post" else {}
        answer = getattr(client, method)(URL + path, **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)


@pytest.mark.django_db(transaction=True)
async def test_a_model_that_does_not_load_is_said_by_the_child(
    small_catalogue: dict[str, Entry], ada: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The child knows only the file: it is told where by its environment."""
    models_dir().mkdir(parents=True)
    (models_dir() / "own.gguf").write_bytes(CONTENT)
    monkeypatch.setenv("COACH_CACHE_DIR", str(settings.CACHE_DIR))
    client = AsyncClient()
    await client.aforce_login(ada)
    answer = await client.post(f"{URL}/llamacpp:own.gguf/test")
    assert (answer.status_code, answer.json()["code"]) == (503, "test_failed")
    assert "own.gguf could not be loaded" in answer.json()["message"]


@pytest.mark.real_model
@pytest.mark.django_db(transaction=True)
async def test_a_real_model_is_tried_out(ada: Any) -> None:
    if not (models_dir() / entries()["smollm2-135m"].file).is_file():
        pytest.skip("no model file; fetch it with `manage.py fetchmodels smollm2-135m`")
    client = AsyncClient()
    await client.aforce_login(ada)
    answer = await client.post(f"{URL}/smollm2-135m/test")
    assert answer.status_code == 200, answer.content
    assert answer.json()["tokens_per_second"] > 1


# --- the page ------------------------------------------------------------------------------------

PAGE = "/admin/llm/modelpull/"


def test_the_page_of_local_models(staff: Client, small_catalogue: dict[str, Entry]) -> None:
    row = pulls.ask(model="known")
    answer = staff.get(PAGE)
    assert answer.status_code == 200
    page = answer.content.decode()
    config = json.loads(re.search(r'id="ac-models-config" type="application/json">(.*?)</script>', page)[1])  # type: ignore[index]
    assert (config["url"], config["pulls"]) == (URL, f"{URL}/pulls")
    assert config["started"][0]["id"] == str(row.pk)
    assert re.search(r'<script type="module" src="[^"]*admin-coach/models[^"]*\.js"', page)
    for script in re.findall(r"<script[^>]*>", page[page.index("data-models") :]):
        assert "src=" in script or "application/json" in script, "no code in the page itself"


def test_the_page_is_for_those_who_may_see_it(client: Client, bob: Any) -> None:
    bob.is_staff = True
    bob.save()
    client.force_login(bob)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()
