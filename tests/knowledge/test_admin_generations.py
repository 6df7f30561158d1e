"""The page of index generations: what one sees, and that each button does what it says, once and for the right base."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from knowledge import generations, services
from knowledge.models import IndexGeneration, KnowledgeBase
from tests.knowledge.panel import BASES, staff, text_of

State = IndexGeneration.State


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def live(base: Any) -> IndexGeneration:
    return services.live_generation(base=base, embedder="e5-small", dimensions=384)


def _path(base: KnowledgeBase, what: str = "") -> str:
    return f"{BASES}/{base.pk}/generations/{what}"


def _act(panel: Client, generation: IndexGeneration, act: str, **more: str) -> str:
    answer = panel.post(_path(generation.base, "act/"), {"generation": generation.pk, "act": act, **more}, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_base_without_an_index_says_how_it_gets_one(panel: Client, base: Any) -> None:
    assert "it is made when the first document is read" in text_of(panel, _path(base))


def test_another_index_is_begun_and_cancelled(panel: Client, base: Any, live: IndexGeneration) -> None:
    answer = panel.post(_path(base, "start/"), {"embedder": "minilm", "switch": "on"}, follow=True)
    assert "A new index is being built" in answer.content.decode()
    made = IndexGeneration.objects.get(state=State.BUILDING)
    assert (made.base, made.embedder, made.switch_when_ready) == (base, "minilm", True)
    IndexGeneration.objects.filter(pk=made.pk).update(chunks_total=200, chunks_done=50, chunks_per_second=0.5)
    page = text_of(panel, _path(base))
    assert 'value="25"' in page
    assert "about 5 minutes left" in page
    [_live, state] = sorted(panel.get(_path(base, "states/")).json()["generations"], key=lambda one: one["id"])
    assert (state["percent"], state["done"], state["left"]) == (25, 50, "about 5 minutes left")
    _act(panel, made, "cancel")
    made.refresh_from_db()
    assert made.state == State.CANCELLED
    _act(panel, made, "retry")
    made.refresh_from_db()
    assert made.state == State.BUILDING


def test_an_embedder_that_nobody_knows_is_refused_in_plain_words(panel: Client, base: Any) -> None:
    answer = panel.post(_path(base, "start/"), {"embedder": "no-such-thing"}, follow=True)
    assert "no-such-thing" in answer.content.decode()
    assert not IndexGeneration.objects.exists()


def test_switch_and_the_way_back_are_one_click_each(panel: Client, base: Any, live: IndexGeneration) -> None:
    made = generations.start(base=base, embedder="minilm", switch_when_ready=False)
    verified = generations.content(made)
    IndexGeneration.objects.filter(pk=made.pk).update(state=State.READY, verified=verified)
    IndexGeneration.objects.filter(pk=live.pk).update(verified=generations.content(live))
    assert "The index is live" in _act(panel, made, "switch")
    made.refresh_from_db()
    live.refresh_from_db()
    assert (made.state, live.state) == (State.LIVE, State.RETIRED)
    assert "The index is live" in _act(panel, live, "roll_back")
    made.refresh_from_db()
    live.refresh_from_db()
    assert (made.state, live.state) == (State.RETIRED, State.LIVE)
    assert 'value="remove"' not in text_of(panel, _path(base)), "searches may still look into it"
    IndexGeneration.objects.filter(pk=made.pk).update(retired=timezone.now() - 2 * generations.REMEMBERED)
    _act(panel, made, "remove")
    assert not IndexGeneration.objects.filter(pk=made.pk).exists()


def test_what_finds_less_needs_a_second_word(panel: Client, base: Any, live: IndexGeneration) -> None:
    made = generations.start(base=base, embedder="minilm", switch_when_ready=False)
    recall = {"sv": {"questions": 40, "live": 0.95, "new": 0.7, "passed": False, "why": ""}}
    IndexGeneration.objects.filter(pk=made.pk).update(
        state=State.READY, verified=generations.content(made), recall=recall
    )
    page = text_of(panel, _path(base))
    assert "Go live all the same" in page
    assert "95 %" in page
    assert "70 %" in page
    _act(panel, made, "switch")
    made.refresh_from_db()
    assert made.state == State.READY
    _act(panel, made, "switch", override="yes")
    made.refresh_from_db()
    assert made.state == State.LIVE


def test_a_button_of_an_old_page_does_nothing(panel: Client, live: IndexGeneration) -> None:
    for act in ("remove", "cancel", "switch", "roll_back", "explode"):
        assert "has changed meanwhile" in _act(panel, live, act)
    live.refresh_from_db()
    assert live.state == State.LIVE


def test_a_generation_of_another_base_is_not_there(panel: Client, live: IndexGeneration) -> None:
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    for number in (str(live.pk), "x", "", "9" * 30):
        answer = panel.post(_path(other, "act/"), {"generation": number, "act": "remove"})
        assert answer.status_code == 404


def test_who_may_only_look_sees_no_button_and_cannot_press_one(
    client: Client, alice: Any, live: IndexGeneration
) -> None:
    client.force_login(staff(alice, "view_knowledgebase", "view_indexgeneration"))
    page = text_of(client, _path(live.base))
    assert "e5-small" in page
    assert 'name="act"' not in page
    assert 'name="embedder"' not in page
    assert client.post(_path(live.base, "act/"), {"generation": live.pk, "act": "remove"}).status_code == 403
    assert client.post(_path(live.base, "start/"), {"embedder": "minilm"}).status_code == 403
    client.force_login(staff(type(alice).objects.create_user("carol", password="x")))
    assert client.get(_path(live.base)).status_code == 403
    assert client.get(_path(live.base, "states/")).status_code == 403
