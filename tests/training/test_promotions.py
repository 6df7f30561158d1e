"""Promote, canary, widen, roll back: what is stored, and which model a conversation really gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from coach import turn as turn_module
from coach.models import Coach
from coach.turn import run_turn
from llm import cloud, live_order, policy, registry
from llm.errors import ServerFailed
from llm.models import LiveOrder
from llm.types import ModelId, Place
from tests.coach.test_turn import Events, context
from tests.fakes import FakeLanguageModel
from training.comparison import promotions
from training.comparison.errors import (
    AlreadyLive,
    BadOptions,
    GateFailed,
    ModelGone,
    NotCompared,
    NotLive,
    NotLoaded,
    StaleModel,
)
from training.models import Promotion

from .promoting import answered_by, compared, tuned

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fresh(settings: Any, tmp_path: Path) -> Any:
    settings.DATA_DIR = tmp_path
    settings.COACH_MODELS = "llamacpp"
    live_order.forget()
    yield
    live_order.forget()


def _ids(count: int) -> list[uuid.UUID]:
    return [uuid.UUID(int=number * 7919 + 1) for number in range(count)]


def _use(monkeypatch: pytest.MonkeyPatch, *models: FakeLanguageModel) -> None:
    """Wherever a turn asks for an adapter, these are found, and guided mode."""
    guided = registry.language_model(policy.GUIDED)
    by_id: dict[ModelId, Any] = {policy.GUIDED: guided, **{model.id: model for model in models}}
    for place in ("llm.switcher", "coach.turn", "coach.asking"):
        monkeypatch.setattr(f"{place}.language_model", by_id.__getitem__)


def _share(name: str, ids: list[uuid.UUID], coach: str = "personal") -> set[uuid.UUID]:
    return {one for one in ids if str(policy.resolve("", coach=coach, conversation=one)[0]) == name}


def test_a_promoted_model_answers_first_and_the_base_stays_behind_it(talk: Any, ada: Any) -> None:
    one = tuned("warm")
    assert answered_by(talk) == ["llamacpp", "guided"]
    made = promotions.promote(candidate=one, comparison=compared(one), by=ada)
    assert answered_by(talk) == ["openai:ft-warm", "llamacpp", "guided"]
    row = Promotion.objects.get()
    assert (row.pk, row.model, row.coach, row.share, row.started_by, row.ended) == (made.pk, one, None, 100, ada, None)
    order = LiveOrder.objects.get()
    assert (order.order, order.coach, order.share, order.front) == ("openai:ft-warm", "", 100, True)
    assert promotions.roll_back(promotion=made, by=ada) is None
    assert answered_by(talk) == ["llamacpp", "guided"]
    row.refresh_from_db()
    assert (row.ended_by, row.ended is not None) == (ada, True)


def test_what_is_no_conversation_of_a_coach_is_not_promoted_to(talk: Any) -> None:
    one = tuned("warm")
    promotions.promote(candidate=one, comparison=compared(one))
    assert [str(model) for model in policy.default_models()] == ["llamacpp", "guided"]
    assert [str(model) for model in policy.resolve("ollama:m")] == ["ollama:m", "guided"]


def test_a_canary_gets_its_share_of_a_thousand_conversations_and_keeps_them(coach: Any) -> None:
    one, ids = tuned("warm"), _ids(1000)
    canary = promotions.promote(candidate=one, share=10, comparison=compared(one))
    tenth = _share("openai:ft-warm", ids)
    assert 70 <= len(tenth) <= 130
    assert _share("openai:ft-warm", ids) == tenth
    wider = promotions.widen(promotion=canary, share=40)
    more = _share("openai:ft-warm", ids)
    assert 350 <= len(more) <= 450
    assert tenth < more
    whole = promotions.widen(promotion=wider, share=100)
    assert len(_share("openai:ft-warm", ids)) == 1000
    assert [row.share for row in promotions.history()] == [100, 40, 10]
    assert [row.ended for row in promotions.history()] == [None, whole.started, wider.started]
    assert promotions.live() == [whole]


def test_another_canary_has_other_conversations() -> None:
    ids = _ids(1000)
    one = {c for c in ids if live_order.in_share("openai:ft-a", c, 20)}
    other = {c for c in ids if live_order.in_share("openai:ft-b", c, 20)}
    assert 10 <= len(one & other) <= 90  # about 40 by chance


def test_a_canary_in_front_of_a_whole_one_and_back(talk: Any) -> None:
    one, two, ids = tuned("one"), tuned("two"), _ids(1000)
    whole = promotions.promote(candidate=one, comparison=compared(one))
    canary = promotions.promote(candidate=two, share=25, comparison=compared(two))
    mine = _share("openai:ft-two", ids)
    assert 200 <= len(mine) <= 300
    assert _share("openai:ft-one", ids) == set(ids) - mine
    some = next(iter(mine))
    named = [str(model) for model in policy.resolve("", coach="personal", conversation=some)]
    assert named == ["openai:ft-two", "openai:ft-one", "llamacpp", "guided"]
    assert promotions.roll_back(promotion=canary) is None
    assert promotions.live() == [whole]
    assert len(_share("openai:ft-one", ids)) == 1000


def test_roll_back_brings_back_what_it_replaced(talk: Any) -> None:
    one, two = tuned("one"), tuned("two")
    promotions.promote(candidate=one, comparison=compared(one))
    canary = promotions.promote(candidate=two, share=10, comparison=compared(two))
    second = promotions.widen(promotion=canary, share=100)
    assert answered_by(talk) == ["openai:ft-two", "llamacpp", "guided"]
    again = promotions.roll_back(promotion=second)
    assert again is not None
    assert again.model == one
    assert answered_by(talk) == ["openai:ft-one", "llamacpp", "guided"]
    assert promotions.roll_back(promotion=again) is None
    assert answered_by(talk) == ["llamacpp", "guided"]
    assert not LiveOrder.objects.filter(front=True, ended=None).exists()


def test_what_it_replaced_stays_away_when_consent_was_taken_back(talk: Any) -> None:
    from django.utils import timezone

    one, two = tuned("one"), tuned("two")
    promotions.promote(candidate=one, comparison=compared(one))
    second = promotions.promote(candidate=two, comparison=compared(two))
    one.stale = timezone.now()
    one.save()
    assert promotions.roll_back(promotion=second) is None
    assert answered_by(talk) == ["llamacpp", "guided"]


def test_for_one_coach_only(talk: Any, coach: Any) -> None:
    one = tuned("warm")
    other = Coach.objects.create(slug="other", name="Other", mode=Coach.Mode.PERSONAL)
    promotions.promote(candidate=one, coach=other, comparison=compared(one))
    assert answered_by(talk) == ["llamacpp", "guided"]
    talk.coach = other
    talk.save()
    assert answered_by(talk) == ["openai:ft-warm", "llamacpp", "guided"]


def test_a_coach_with_its_own_list_gets_only_what_is_promoted_for_it(talk: Any, coach: Any) -> None:
    one, two = tuned("one"), tuned("two")
    coach.language_models = "ollama:own"
    coach.save()
    promotions.promote(candidate=one, comparison=compared(one))
    assert answered_by(talk) == ["ollama:own", "guided"]
    promotions.promote(candidate=two, coach=coach, comparison=compared(two))
    assert answered_by(talk) == ["openai:ft-two", "ollama:own", "guided"]


def test_people_are_told_of_a_promoted_cloud_model_even_of_a_canary(coach: Any) -> None:
    one = tuned("warm")
    assert cloud.cloud_models("", coach="personal") == []
    promotions.promote(candidate=one, share=5, comparison=compared(one))
    assert [str(model) for model in cloud.cloud_models("", coach="personal")] == ["openai:ft-warm"]
    assert cloud.cloud_models("llamacpp", coach="personal") == []


def test_a_gate_that_said_no_needs_a_reason(talk: Any, ada: Any) -> None:
    one = tuned("warm")
    with pytest.raises(NotCompared, match="not compared yet"):
        promotions.promote(candidate=one)
    said_no = compared(one, passed=False)
    with pytest.raises(GateFailed, match="fails 2 safety checks"):
        promotions.promote(candidate=one, comparison=said_no)
    assert not Promotion.objects.exists()
    assert answered_by(talk) == ["llamacpp", "guided"]
    made = promotions.promote(candidate=one, comparison=said_no, by=ada, overridden="Looked through by hand")
    assert made.overridden == "Looked through by hand"
    assert answered_by(talk)[0] == "openai:ft-warm"


def test_a_reason_that_was_not_needed_is_not_kept() -> None:
    one = tuned("warm")
    assert promotions.promote(candidate=one, comparison=compared(one), overridden="why not").overridden == ""


def test_a_model_that_is_stale_or_gone_is_refused_whatever_the_reason() -> None:
    from django.utils import timezone

    stale, gone = tuned("stale", stale=timezone.now()), tuned("gone")
    shutil.rmtree(Path(django_settings.DATA_DIR) / gone.path)
    with pytest.raises(StaleModel, match="took consent back"):
        promotions.promote(candidate=stale, overridden="because")
    with pytest.raises(ModelGone, match="are gone"):
        promotions.promote(candidate=gone, overridden="because")
    assert not LiveOrder.objects.exists()


def test_an_adapter_that_cannot_be_served_is_not_promoted(talk: Any) -> None:
    one = tuned("warm", model="llamacpp:lora/warm")
    with pytest.raises(NotLoaded, match="no adapter called warm"):
        promotions.promote(candidate=one, comparison=compared(one))
    assert not Promotion.objects.exists()
    assert not LiveOrder.objects.exists()


async def test_a_private_conversation_gets_no_promoted_cloud_model(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud_model = FakeLanguageModel(id=ModelId("openai", "ft-warm"), place=Place.CLOUD)
    base_model = FakeLanguageModel(text="Base words here", id=ModelId("llamacpp"))
    _use(monkeypatch, cloud_model, base_model)
    promoted = live_order.Orders(1, "", (live_order.Front("openai:ft-warm", "", 100),))
    monkeypatch.setattr(live_order, "_seen", (promoted, time.monotonic() + 60))
    outcome = await run_turn(context(bases=(), private=True), Events())
    assert outcome.model == "llamacpp"
    assert cloud_model.requests == []
    monkeypatch.setattr(live_order, "_seen", None)


def test_a_promoted_model_is_in_use_and_cannot_be_removed() -> None:
    from llm.local_models import names_in_use

    one = tuned("warm", model="ollama:warm")
    promotions.promote(candidate=one, comparison=compared(one))
    assert "ollama:warm:latest" in names_in_use() or "ollama:warm" in names_in_use()


def test_what_makes_no_sense_is_refused() -> None:
    one = tuned("warm")
    for share in (0, 101):
        with pytest.raises(BadOptions):
            promotions.promote(candidate=one, share=share, comparison=compared(one))
    made = promotions.promote(candidate=one, comparison=compared(one))
    with pytest.raises(BadOptions):
        promotions.widen(promotion=made, share=50)
    with pytest.raises(AlreadyLive):
        promotions.promote(candidate=one, share=10, comparison=compared(one))
    promotions.roll_back(promotion=made)
    with pytest.raises(NotLive):
        promotions.roll_back(promotion=made)


async def test_a_turn_that_runs_finishes_on_its_model_and_the_next_is_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the whole turn: policy, switcher, answer; the tuned model fails once and the base takes over."""
    import asyncio

    from asgiref.sync import sync_to_async

    hold = asyncio.Event()
    tuned_model = FakeLanguageModel(text="Tuned words here", id=ModelId("openai", "ft-warm"), hold=hold)
    base_model = FakeLanguageModel(text="Base words here", id=ModelId("llamacpp"))
    _use(monkeypatch, tuned_model, base_model)
    front = live_order.Front("openai:ft-warm", "", 100)
    promoted, rolled_back = live_order.Orders(1, "", (front,)), live_order.Orders(2, "", ())
    monkeypatch.setattr(live_order, "_seen", (promoted, time.monotonic() + 60))
    assert turn_module.policy is policy
    running = asyncio.ensure_future(run_turn(context(bases=()), Events()))
    while not tuned_model.requests:
        await asyncio.sleep(0.01)
    monkeypatch.setattr(live_order, "_seen", (rolled_back, time.monotonic() + 60))
    hold.set()
    first, second = await running, await run_turn(context(bases=()), Events())
    assert (first.model, first.answer.split()[-3]) == ("openai:ft-warm", "Tuned")
    assert (second.model, second.answer.split()[-3]) == ("llamacpp", "Base")
    monkeypatch.setattr(live_order, "_seen", (promoted, time.monotonic() + 60))
    tuned_model.error = ServerFailed("gone")
    third = await run_turn(context(bases=()), Events())
    assert third.model == "llamacpp"
    await sync_to_async(live_order.forget)()


OTHER_PROCESS = """
import sys, time, uuid, django
django.setup()
from llm import policy
from django.db import connection
one = uuid.UUID(int=5)
sys.stdout.write("ready\\n"); sys.stdout.flush()
last, until = "", time.monotonic() + 20
while time.monotonic() < until and last != "rolled back":
    first = str(policy.resolve("", coach="personal", conversation=one)[0])
    said = "promoted" if first.startswith("openai:ft-") else "rolled back" if last else ""
    if said and said != last:
        last = said
        sys.stdout.write(f"{said} {time.time()}\\n"); sys.stdout.flush()
    time.sleep(0.05)
"""
THIS_PROCESS = """
import sys, django
django.setup()
from training.models import TunedModel, Promotion
from training.comparison import promotions
if sys.argv[1] == "promote":
    one = TunedModel.objects.create(name="warm", model="openai:ft-warm", base="b")
    promotions.promote(candidate=one, overridden="a test")
else:
    promotions.roll_back(promotion=Promotion.objects.get())
"""


def test_another_process_follows_a_roll_back_within_five_seconds(tmp_path: Path) -> None:
    """Without a turn to tell it (a turn follows at once): what it remembers ends after two seconds."""
    environment = {**os.environ, "COACH_DATA_DIR": str(tmp_path / "own"), "COACH_MODELS": "guided"}
    environment |= {"DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3", "REDIS_URL": django_settings.REDIS_URL}
    python = [sys.executable]
    subprocess.run([*python, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=60)
    watching = subprocess.Popen(
        [*python, "-c", OTHER_PROCESS], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "ready\n"
        for step, said in (("promote", "promoted "), ("back", "rolled back ")):
            subprocess.run([*python, "-c", THIS_PROCESS, step], cwd=ROOT, env=environment, check=True, timeout=60)
            ended = time.time()
            line = watching.stdout.readline()
            assert line.startswith(said)
            assert float(line.rsplit(" ", 1)[1]) - ended < 5
    finally:
        watching.kill()
        watching.wait()
        if watching.stdout:
            watching.stdout.close()


def test_a_turn_follows_at_once_without_one_statement_more(talk: Any, django_assert_num_queries: Any) -> None:
    one = tuned("warm")
    promotions.promote(candidate=one, comparison=compared(one))
    assert answered_by(talk)[0] == "openai:ft-warm"
    remembered = live_order._seen
    promotion = Promotion.objects.get()
    promotions.roll_back(promotion=promotion)
    live_order._seen = remembered  # as another process still has it
    assert answered_by(talk)[0] == "llamacpp"
    with django_assert_num_queries(0):
        policy.resolve("", coach="personal", conversation=talk.pk)
