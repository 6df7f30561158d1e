"""Administrators switch the order of models while everything runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from llm import cloud, live_order, policy
from llm.errors import UnknownModel
from llm.models import Endpoint, LiveOrder

pytestmark = pytest.mark.django_db
ADD, LIST = "admin:llm_liveorder_add", "admin:llm_liveorder_changelist"


@pytest.fixture(autouse=True)
def fresh() -> None:
    live_order.forget()


@pytest.fixture
def panel(ada: Any) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def _names(policy_text: str = "") -> list[str]:
    return [str(model) for model in policy.resolve(policy_text)]


def test_the_newest_order_counts_at_once_and_is_history(panel: Client, ada: Any, settings: Any) -> None:
    settings.COACH_MODELS = "llamacpp"
    assert _names() == ["llamacpp", "guided"]
    for order in (" ollama:llama3.1 , llamacpp,", "llamacpp"):
        assert panel.post(reverse(ADD), {"order": order}).status_code == 302
    assert list(LiveOrder.objects.order_by("pk").values_list("order", "changed_by")) == [
        ("ollama:llama3.1,llamacpp", ada.pk),
        ("llamacpp", ada.pk),
    ]
    page = panel.get(reverse(LIST)).content.decode()
    assert "ollama:llama3.1,llamacpp" in page
    assert "ada" in page


def test_it_comes_before_the_setting_and_after_a_coachs_own_list(settings: Any) -> None:
    settings.COACH_MODELS = "llamacpp"
    live_order.switch(order="openai:gpt-4o-mini", user_id=None)
    assert _names() == ["openai:gpt-4o-mini", "guided"]
    assert [str(model) for model in policy.default_models()] == ["openai:gpt-4o-mini", "guided"]
    assert _names("ollama:m") == ["ollama:m", "guided"]
    live_order.switch(order="", user_id=None)
    assert _names() == ["llamacpp", "guided"]


def test_people_are_told_of_the_clouds_in_it(settings: Any) -> None:
    settings.COACH_MODELS = "llamacpp"
    assert cloud.cloud_models() == []
    live_order.switch(order="openai:gpt-4o-mini", user_id=None)
    assert [str(model) for model in cloud.cloud_models()] == ["openai:gpt-4o-mini"]


def test_a_name_that_nobody_knows_is_refused_in_one_sentence(panel: Client) -> None:
    page = panel.post(reverse(ADD), {"order": "chatgpt"}).content.decode()
    assert "names no known provider" in page
    assert not LiveOrder.objects.exists()


def test_a_cloud_model_must_be_meant(panel: Client) -> None:
    page = panel.post(reverse(ADD), {"order": "llamacpp, openai:gpt-4o-mini"}).content.decode()
    assert "openai:gpt-4o-mini: what coachees write would be sent to a cloud service" in page
    assert not LiveOrder.objects.exists()
    panel.post(reverse(ADD), {"order": "llamacpp, openai:gpt-4o-mini", "cloud_meant": "on"})
    assert LiveOrder.objects.get().order == "llamacpp,openai:gpt-4o-mini"


def test_the_form_shows_what_is_in_use_and_what_is_known(panel: Client, settings: Any) -> None:
    Endpoint.objects.create(slug="lab", url="http://10.0.0.9:8000/v1")
    settings.COACH_MODELS = "llamacpp"
    page = panel.get(reverse(ADD)).content.decode()
    assert 'value="llamacpp"' in page
    assert "openai:NAME@lab" in page
    assert "<code>guided</code>" in page


def test_what_was_is_not_changed(panel: Client) -> None:
    row = live_order.switch(order="llamacpp", user_id=None)
    page = panel.get(reverse("admin:llm_liveorder_change", args=[row.pk]))
    assert page.status_code == 200
    assert panel.post(reverse("admin:llm_liveorder_change", args=[row.pk]), {"order": "guided"}).status_code == 403
    assert panel.post(reverse("admin:llm_liveorder_delete", args=[row.pk])).status_code == 403


def test_who_has_no_right_sees_nothing(alice: Any) -> None:
    alice.is_staff = True
    alice.save()
    client = Client()
    client.force_login(alice)
    assert client.get(reverse(LIST)).status_code == 403
    assert client.post(reverse(ADD), {"order": "guided"}).status_code == 403


def test_other_processes_notice_within_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert live_order.live_order() == ""
    LiveOrder.objects.create(order="guided")  # by another process
    assert live_order.live_order() == ""
    later = time.monotonic() + live_order.REMEMBERED + 0.1
    monkeypatch.setattr(live_order.time, "monotonic", lambda: later)
    assert live_order.live_order() == "guided"


def test_a_turn_brings_the_order_along(talk: Any, django_assert_num_queries: Any) -> None:
    import uuid

    from coach.models import Turn
    from coach.selectors import turn_context

    LiveOrder.objects.create(order="ollama:new")
    turn = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q?")
    live_order._seen = (live_order.Orders(order="ollama:old"), time.monotonic() + 60)  # read before the change
    turn_context(turn.pk)
    with django_assert_num_queries(0):
        assert _names() == ["ollama:new", "guided"]


def test_an_order_that_is_no_longer_understood_is_ignored(settings: Any) -> None:
    settings.COACH_MODELS = "llamacpp"
    LiveOrder.objects.create(order="gone:model")
    assert _names() == ["llamacpp", "guided"]
    with pytest.raises(UnknownModel):
        live_order.switch(order="gone:model", user_id=None)
