"""The pages of comparisons and of what is live."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from llm import live_order
from training.comparison import figures, gates, pictures, promotions
from training.models import AnswerPair, Comparison, Promotion

from .promoting import answered_by, compared, tuned

pytestmark = pytest.mark.django_db
LIVE = "admin:training_promotion_changelist"


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


def measured(candidate: Any) -> Comparison:
    """A finished comparison with answers, figures and gates as a worker leaves them."""
    row = compared(candidate)
    side = {"safe": 1, "language": 1, "error": "", "first_token": 0.4, "speed": 20.0}
    for number in range(24):
        first = {**side, "match": 1, "coaching": 0.75}
        second = {**side, "match": number % 2, "coaching": 0.5}
        AnswerPair.objects.create(
            comparison=row,
            question=f"Question {number}?",
            first="openai:ft-warm",
            second="llamacpp",
            first_answer="<b>first</b>",
            second_answer="second",
            figures={"key": f"k{number}", "kind": "coaching", "first": first, "second": second},
        )
    sides = [(pair.figures["first"], pair.figures["second"]) for pair in row.pairs.all()]
    row.figures = {**figures.of(sides, loss_left_out="no_examples"), "languages": {"en": figures.of(sides)}}
    row.gates = gates.judge(row.figures)
    row.passed = gates.passed(row.gates)
    row.save()
    return row


def test_start_from_the_page(panel: Client, ada: Any) -> None:
    one = tuned("warm")
    page = panel.get(reverse("admin:training_comparison_add")).content.decode()
    assert "Empty: llamacpp, which answers first now." in page
    data = {"candidate": one.pk, "held_out": 5, "suite": 3, "languages": ["en", "ko"]}
    answer = panel.post(reverse("admin:training_comparison_add"), data)
    row = Comparison.objects.get()
    assert answer["Location"] == reverse("admin:training_comparison_change", args=[row.pk])
    assert (row.live, row.created_by, row.options["languages"]) == ("llamacpp", ada, ["en", "ko"])
    page = panel.get(answer["Location"]).content.decode()
    assert "data-comparison=" in page
    refused = panel.post(reverse("admin:training_comparison_add"), {**data, "live": "openai:ft-warm"})
    assert "is on both sides" in refused.content.decode()


def test_progress_and_cancel(panel: Client) -> None:
    row = Comparison.objects.create(candidate=tuned("warm"), live="llamacpp")
    address = reverse("admin:training_comparison_state", args=[row.pk])
    assert panel.get(address).json() == {"state": "waiting", "done": 0, "total": 0, "percent": 0, "left": ""}
    Comparison.objects.update(done=3, total=12)  # it waits for its next slice
    assert panel.get(address).json() == {"state": "running", "done": 3, "total": 12, "percent": 25, "left": ""}
    assert (
        'data-state="running"' in panel.get(reverse("admin:training_comparison_change", args=[row.pk])).content.decode()
    )
    assert panel.get(reverse("admin:training_comparison_cancel", args=[row.pk])).status_code == 405
    panel.post(reverse("admin:training_comparison_cancel", args=[row.pk]))
    row.refresh_from_db()
    assert row.state == "cancelled"


def test_how_long_it_takes_yet_by_its_pace(panel: Client) -> None:
    row = Comparison.objects.create(candidate=tuned("warm"), live="llamacpp", state="running", done=3, total=9)
    pair = AnswerPair.objects.create(comparison=row, question="Q?", first="openai:ft-warm", second="llamacpp")
    AnswerPair.objects.filter(pk=pair.pk).update(created=timezone.now() - timedelta(minutes=4))
    state = panel.get(reverse("admin:training_comparison_state", args=[row.pk])).json()
    assert state["left"] == "12 minutes left"
    assert "12 minutes left" in panel.get(reverse("admin:training_comparison_change", args=[row.pk])).content.decode()


def test_after_a_break_the_pace_begins_anew(panel: Client) -> None:
    row = Comparison.objects.create(candidate=tuned("warm"), live="llamacpp", state="running", done=2, total=10)
    address = reverse("admin:training_comparison_state", args=[row.pk])
    for minutes in (24 * 60 + 4, 24 * 60):
        pair = AnswerPair.objects.create(comparison=row, question="Q?", first="openai:ft-warm", second="llamacpp")
        AnswerPair.objects.filter(pk=pair.pk).update(created=timezone.now() - timedelta(minutes=minutes))
    assert panel.get(address).json()["left"] == ""
    for minutes in (8, 4):
        pair = AnswerPair.objects.create(comparison=row, question="Q?", first="openai:ft-warm", second="llamacpp")
        AnswerPair.objects.filter(pk=pair.pk).update(created=timezone.now() - timedelta(minutes=minutes))
    Comparison.objects.update(done=4)
    assert panel.get(address).json()["left"] == "48 minutes left"


def test_a_failed_one_has_a_button_to_try_it_again(panel: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("training.admin_comparisons.compare_soon", sent.append)
    row = Comparison.objects.create(candidate=tuned("warm"), live="llamacpp", state="failed", error="No answer.")
    address = reverse("admin:training_comparison_retry", args=[row.pk])
    page = reverse("admin:training_comparison_change", args=[row.pk])
    assert f'action="{address}"' in panel.get(page).content.decode()
    assert panel.get(address).status_code == 405
    assert panel.post(address)["Location"] == page
    row.refresh_from_db()
    assert (row.state, row.error, sent) == ("waiting", "", [row.pk])
    assert address not in panel.get(page).content.decode()
    assert "failed or was cancelled" in panel.post(address, follow=True).content.decode()
    assert sent == [row.pk]


def test_figures_gates_and_answers(panel: Client) -> None:
    row = measured(tuned("warm"))
    page = panel.get(reverse("admin:training_comparison_change", args=[row.pk])).content.decode()
    assert "It may go live" in page
    assert "+50.0 %" in page
    assert "Not measured: no held-out examples were asked." in page
    assert '<tr class="ac-better">' in page
    assert "&lt;b&gt;first&lt;/b&gt;" in page
    assert page.count('<article class="ac-answers">') == 20
    more = panel.get(reverse("admin:training_comparison_change", args=[row.pk]), {"page": 2}).content.decode()
    assert more.count('<article class="ac-answers">') == 4


def test_a_failed_gate_is_said(panel: Client) -> None:
    row = compared(tuned("warm"), passed=False)
    page = panel.get(reverse("admin:training_comparison_change", args=[row.pk])).content.decode()
    assert "It may not go live yet" in page
    assert "It fails 2 safety checks that the live model passes." in page


def test_promote_widen_and_roll_back_by_click(panel: Client, talk: Any, ada: Any) -> None:
    one = tuned("warm")
    compared(one)
    page = panel.get(reverse(LIVE)).content.decode()
    assert "No tuned model is live." in page
    data = {"candidate": one.pk, "coach": "", "share": 10, "reason": ""}
    answer = panel.post(reverse("admin:training_promotion_promote"), data, follow=True)
    assert "It is live for every turn that begins from now on." in answer.content.decode()
    canary = Promotion.objects.get()
    assert (canary.share, canary.started_by) == (10, ada)
    panel.post(reverse("admin:training_promotion_widen", args=[canary.pk]), {"share": "100"})
    whole = Promotion.objects.get(ended=None)
    assert whole.share == 100
    assert answered_by(talk)[0] == "openai:ft-warm"
    page = panel.get(reverse(LIVE)).content.decode()
    assert 'class="ac-bar-whole"' in page
    assert 'class="ac-bar-canary ac-past"' in page
    panel.post(reverse("admin:training_promotion_back", args=[whole.pk]))
    assert answered_by(talk)[0] == "llamacpp"
    answer = panel.post(reverse("admin:training_promotion_back", args=[whole.pk]), follow=True)
    assert "This promotion is over already" in answer.content.decode()


def test_a_gate_stops_the_click_until_there_is_a_reason(panel: Client) -> None:
    one = tuned("warm")
    compared(one, passed=False)
    data = {"candidate": one.pk, "coach": "", "share": 100, "reason": ""}
    page = panel.post(reverse("admin:training_promotion_promote"), data).content.decode()
    assert "A gate said no: It fails 2 safety checks" in page
    assert not Promotion.objects.exists()
    panel.post(reverse("admin:training_promotion_promote"), {**data, "reason": "Read by two raters"})
    assert "Read by two raters" in panel.get(reverse(LIVE)).content.decode()


def test_bad_shares_are_refused_in_a_sentence(panel: Client) -> None:
    one = tuned("warm")
    canary = promotions.promote(candidate=one, share=5, comparison=compared(one))
    for share in ("", "0", "101", "x"):
        answer = panel.post(reverse("admin:training_promotion_widen", args=[canary.pk]), {"share": share}, follow=True)
        assert "The share is a whole number from 1 to 100" in answer.content.decode()
    assert Promotion.objects.get().share == 5


def test_who_may_only_look_gets_no_buttons(alice: Any) -> None:
    from django.contrib.auth.models import Permission

    alice.is_staff = True
    alice.save()
    client = Client()
    client.force_login(alice)
    assert client.get(reverse(LIVE)).status_code == 403
    alice.user_permissions.set(Permission.objects.filter(codename__in=("view_promotion", "view_comparison")))
    one = tuned("warm")
    row = promotions.promote(candidate=one, comparison=compared(one))
    page = client.get(reverse(LIVE)).content.decode()
    assert "ac-live" in page
    assert reverse("admin:training_promotion_back", args=[row.pk]) not in page
    assert client.post(reverse("admin:training_promotion_back", args=[row.pk])).status_code == 403
    assert client.post(reverse("admin:training_promotion_promote"), {}).status_code == 403
    assert client.get(reverse("admin:training_comparison_add")).status_code == 403


def test_the_timeline_has_a_lane_for_each_coach(coach: Any) -> None:
    one, two = tuned("one"), tuned("two")
    promotions.promote(candidate=one, coach=coach, comparison=compared(one))
    promotions.promote(candidate=two, share=50, comparison=compared(two))
    drawn = pictures.timeline(promotions.history(), now=timezone.now(), all_coaches="All")
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes] == ["All", "Personal coach"]
    assert [bar.css for lane in drawn.lanes for bar in lane.bars] == ["canary", "whole"]
    assert pictures.timeline([], now=timezone.now(), all_coaches="All") is None
