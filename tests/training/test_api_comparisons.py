"""Comparisons and promotions over REST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from llm import live_order
from training.models import Comparison, Promotion

from .promoting import answered_by, compared, tuned

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(settings: Any, tmp_path: Path) -> Any:
    settings.DATA_DIR, settings.COACH_MODELS = tmp_path, "llamacpp"
    live_order.forget()
    yield
    live_order.forget()


@pytest.fixture
def panel(ada: Any) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def _post(client: Client, path: str, **data: Any) -> Any:
    return client.post(f"/api/v1{path}", json.dumps(data), content_type="application/json")


def test_start_look_and_cancel(panel: Client) -> None:
    tuned("warm")
    made = _post(panel, "/comparisons", candidate="warm", options={"suite": 2, "languages": ["sv"]})
    assert made.status_code == 202
    found = made.json()
    assert (found["candidate"], found["live"], found["state"]) == ("warm", "llamacpp", "waiting")
    assert (found["options"]["suite"], found["options"]["languages"]) == (2, ["sv"])
    assert panel.get("/api/v1/comparisons").json()[0]["id"] == found["id"]
    assert _post(panel, f"/comparisons/{found['id']}/cancel").json()["state"] == "cancelled"
    again = _post(panel, f"/comparisons/{found['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "over")
    retried = _post(panel, f"/comparisons/{found['id']}/retry")
    assert (retried.status_code, retried.json()["state"], retried.json()["finished"]) == (202, "waiting", None)
    again = _post(panel, f"/comparisons/{found['id']}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "not_over")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"candidate": "nobody"}, 404, "not_found"),
        ({"candidate": "warm", "dataset": 99}, 404, "not_found"),
        ({"candidate": "warm", "live": "chatgpt"}, 422, "unknown_model"),
        ({"candidate": "warm", "live": "openai:ft-warm"}, 422, "same_model"),
        ({"candidate": "warm", "options": {"suite": 1000}}, 422, "bad_options"),
        ({"candidate": "warm", "options": {"suite": 0}}, 422, "nothing_to_ask"),
        ({}, 422, "invalid"),
    ],
)
def test_bad_requests_get_a_code_and_a_sentence(panel: Client, data: Any, status: int, code: str) -> None:
    tuned("warm")
    answer = _post(panel, "/comparisons", **data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].endswith((".", "!"))
    assert not Comparison.objects.exists()


def test_promote_widen_and_roll_back(panel: Client, talk: Any) -> None:
    one = tuned("warm")
    compared(one)
    made = _post(panel, "/promotions", model="warm", share=10)
    assert made.status_code == 201
    assert made.json()["live"] is True
    wide = _post(panel, f"/promotions/{made.json()['id']}/widen", share=100).json()
    assert (wide["share"], wide["coach"], wide["language_model"]) == (100, "", "openai:ft-warm")
    assert answered_by(talk)[0] == "openai:ft-warm"
    [model] = panel.get("/api/v1/tuned-models").json()
    assert (model["name"], model["passed"], model["live"][0]["share"]) == ("warm", True, 100)
    back = _post(panel, f"/promotions/{wide['id']}/rollback")
    assert (back.status_code, back.json()["now"]) == (200, None)
    assert back.json()["rolled_back"]["live"] is False
    assert answered_by(talk)[0] == "llamacpp"
    again = _post(panel, f"/promotions/{wide['id']}/rollback")
    assert (again.status_code, again.json()["code"]) == (409, "not_live")
    assert [row["share"] for row in panel.get("/api/v1/promotions").json()] == [100, 10]


def test_a_closed_gate_answers_with_its_sentence(panel: Client) -> None:
    one = tuned("warm")
    row = compared(one, passed=False)
    answer = _post(panel, "/promotions", model="warm")
    assert (answer.status_code, answer.json()["code"]) == (409, "gate")
    assert "It fails 2 safety checks" in answer.json()["message"]
    gates = panel.get(f"/api/v1/comparisons/{row.pk}").json()["gates"]
    assert gates[0]["why"] == "It fails 2 safety checks that the live model passes."
    assert _post(panel, "/promotions", model="warm", reason="Checked by hand").status_code == 201
    assert Promotion.objects.get().overridden == "Checked by hand"


@pytest.mark.parametrize("staff", [True, False])
def test_who_has_no_right_gets_nothing(alice: Any, staff: bool) -> None:
    alice.is_staff = staff
    alice.save()
    one = tuned("warm")
    row = compared(one)
    client = Client()
    client.force_login(alice)
    assert _post(client, "/comparisons", candidate="warm").status_code == 403
    assert _post(client, "/promotions", model="warm").status_code == 403
    for path in ("/comparisons", f"/comparisons/{row.pk}", "/tuned-models", "/promotions"):
        assert client.get(f"/api/v1{path}").status_code == 403
    assert not Promotion.objects.exists()
