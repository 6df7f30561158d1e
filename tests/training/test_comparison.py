"""A comparison from its start to its figures, with fake models behind the real switcher."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from llm import live_order
from llm.errors import ServerFailed
from llm.types import AdapterEvent, ChatRequest, Finished, ModelId, Usage
from tests.fakes import FakeLanguageModel
from training import tasks_comparison
from training.comparison import jobs, judge, preference, promotions, run, services
from training.comparison.errors import (
    AlreadyOver,
    BadOptions,
    CloudNotMeant,
    NothingToAsk,
    NotOver,
    SameModel,
    StaleModel,
    WrongModel,
)
from training.comparison.questions import suite
from training.models import AnswerPair, Choice, Comparison, DataSet, Example

from .promoting import tuned

pytestmark = pytest.mark.django_db
State = Comparison.State
GOOD = (
    "It sounds like this task weighs on you. It took 66 days on average until a new habit came by itself [1]. What now?"
)
STEADY = Usage(prompt_tokens=100, completion_tokens=20, completion_tokens_per_second=20.0)
SOURCE = "In the study by Lally it took 66 days on average until a new habit came by itself."
SHORT = {"languages": ["en"], "suite": 6, "held_out": 3, "cloud": True}


@pytest.fixture(autouse=True)
def fresh(settings: Any, tmp_path: Path) -> Any:
    settings.DATA_DIR, settings.COACH_MODELS, settings.COACH_JUDGE = tmp_path, "ollama:live", ""
    live_order.forget()
    yield
    live_order.forget()


class Steady(FakeLanguageModel):
    """Says how quickly it writes, so that the machine of the test decides nothing."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        async for event in super().stream(request):
            yield Finished(usage=STEADY) if isinstance(event, Finished) else event


class Models(dict[ModelId, FakeLanguageModel]):
    """Of this test, by name; `order` is who was asked, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def find(self, model: ModelId) -> FakeLanguageModel:
        self.order.append(str(model))
        return self[model]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    found = Models()
    for name, text in (("openai:ft-warm", GOOD), ("ollama:live", "Du bör alltid och måste. Det är så.")):
        one = ModelId(*name.split(":"))
        found[one] = Steady(text=text, id=one)
    monkeypatch.setattr("llm.switcher.language_model", found.find)
    monkeypatch.setattr("training.comparison.asking.language_model", found.__getitem__)
    return found


def data_set(**values: Any) -> DataSet:
    made = DataSet.objects.create(name="Made up", **{"state": DataSet.State.FROZEN, **values})
    for number in range(4):
        Example.objects.create(
            dataset=made,
            split=Example.Split.HELD_OUT if number else Example.Split.TRAIN,
            state=Example.State.APPROVED,
            language="en",
            prompt=[
                {"role": "system", "content": "Be a coach."},
                {"role": "user", "content": f"Sources:\n[1] {SOURCE}\n\nQuestion: How long, {number}?"},
            ],
            answer="It sounds like this task weighs on you. It took 66 days on average [1]. What would help?",
        )
    return made


def test_from_start_to_figures(models: Models, ada: Any) -> None:
    row = services.start(candidate=tuned("warm"), dataset=data_set(), options=SHORT, by=ada)
    assert (row.state, row.live, row.created_by) == (State.WAITING, "ollama:live", ada)
    assert run.run_slice(comparison_id=row.pk) is False
    row.refresh_from_db()
    assert (row.state, row.error, row.done, row.total) == (State.DONE, "", 9, 9)
    pairs = list(row.pairs.all())
    assert len(pairs) == 9
    assert [pair.figures["key"].split("/")[0] for pair in pairs] == ["suite"] * 6 + ["example"] * 3
    assert {(pair.first, pair.second) for pair in pairs} == {("openai:ft-warm", "ollama:live")}
    assert {pair.first_answer for pair in pairs} == {GOOD}
    assert pairs[-1].question == "How long, 3?"
    figures = row.figures
    assert figures["language"]["candidate"] == 1
    assert figures["language"]["live"] == 0
    assert figures["citations"] == {**figures["citations"], "candidate": 1.0, "live": 0.0, "n": 4}
    assert figures["coaching"]["candidate"] > figures["coaching"]["live"]
    assert figures["likeness"]["n"] == 3
    assert figures["safety"]["new_failures"] == 0
    assert figures["held_out_loss"] == {"n": 0, "held_out": 3, "why": "no_probabilities"}
    assert figures["missed_crises"] == []
    assert set(figures["languages"]) == {"en"}
    assert row.passed
    assert {name for name, gate in row.gates.items() if not gate["measured"]} == {"held_out_loss", "preference"}


def test_the_two_are_asked_in_turned_order_and_with_what_the_coach_would_send(models: Models) -> None:
    row = services.start(candidate=tuned("warm"), options=SHORT)
    run.run_slice(comparison_id=row.pk)
    assert models.order[:6] == [
        "openai:ft-warm",
        "ollama:live",
        "ollama:live",
        "openai:ft-warm",
        "openai:ft-warm",
        "ollama:live",
    ]
    asked = [list(model.requests[0].messages) for model in models.values()]
    assert asked[0] == asked[1] == list(suite("en")[12].messages)
    assert models[ModelId("ollama", "live")].requests[0].account.purpose == "comparison"
    assert models[ModelId("ollama", "live")].requests[0].temperature == 0
    warmed = [[list(request.messages) for request in model.warmed] for model in models.values()]
    assert warmed == [[list(suite("en")[12].messages[:-1])]] * 2  # both have read the opening before they are timed


def test_it_goes_on_where_a_slice_or_a_lost_worker_left_it(models: Models) -> None:
    row = services.start(candidate=tuned("warm"), options=SHORT)
    assert run.run_slice(comparison_id=row.pk, seconds=0) is True
    row.refresh_from_db()
    assert (row.state, row.pairs.count(), row.done, row.total) == (State.WAITING, 1, 1, 6)
    claimed = jobs.claim(row.pk)  # a worker that dies
    assert claimed is not None
    assert jobs.claim(row.pk) is None
    assert jobs.forgotten() == []
    Comparison.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert jobs.forgotten() == [row.pk]
    tasks_comparison.compare(row.pk)
    row.refresh_from_db()
    assert (row.state, row.pairs.count()) == (State.DONE, 6)
    assert sum(len(model.requests) for model in models.values()) == 12  # nothing was asked twice
    with pytest.raises(jobs.Left):
        jobs.progress(claimed, done=1, total=6)  # what was thought dead breaks nothing


def test_cancel_at_once_or_between_two_answers(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    one = services.start(candidate=tuned("warm"), options=SHORT)
    assert services.cancel(comparison=one).state == State.CANCELLED
    assert run.run_slice(comparison_id=one.pk) is False
    assert models.order == []
    with pytest.raises(AlreadyOver):
        services.cancel(comparison=one)
    two = services.start(candidate=one.candidate, options=SHORT)
    run_async = run.run_async

    def cancelled_meanwhile(call: Any) -> Any:
        found = run_async(call)
        if models.order:  # the first answer is there
            Comparison.objects.filter(pk=two.pk).update(cancel_requested=True)
        return found

    monkeypatch.setattr(run, "run_async", cancelled_meanwhile)
    assert run.run_slice(comparison_id=two.pk) is False
    two.refresh_from_db()
    assert (two.state, len(models.order)) == (State.CANCELLED, 1)


def test_a_model_that_does_not_answer_ends_it_in_one_sentence(models: Models) -> None:
    models[ModelId("ollama", "live")].error = ServerFailed("The server is on fire.")
    row = services.start(candidate=tuned("warm"), options=SHORT)
    assert run.run_slice(comparison_id=row.pk) is False
    row.refresh_from_db()
    assert (row.state, row.error) == (State.FAILED, "ollama:live did not answer: The server is on fire.")
    assert row.passed is False


def test_tried_again_it_asks_only_what_is_missing(models: Models) -> None:
    live = models[ModelId("ollama", "live")]
    row = services.start(candidate=tuned("warm"), options=SHORT)
    with pytest.raises(NotOver):
        services.retry(comparison=row)
    assert run.run_slice(comparison_id=row.pk, seconds=0) is True  # one question
    live.error = ServerFailed("The server is on fire.")
    run.run_slice(comparison_id=row.pk)
    row.refresh_from_db()
    kept = row.pairs.order_by("pk").first()
    assert (row.state, row.pairs.count()) == (State.FAILED, 3)  # two of them without an answer of one side
    live.error = None
    asked = {name: len(model.requests) for name, model in models.items()}

    assert jobs.forgotten() == []
    again = services.retry(comparison=row)
    assert (again.state, again.error, again.finished, again.cancel_requested) == (State.WAITING, "", None, False)
    assert list(again.pairs.all()) == [kept]
    assert run.run_slice(comparison_id=row.pk) is False
    row.refresh_from_db()
    assert (row.state, row.pairs.count(), row.done, row.total) == (State.DONE, 6, 6, 6)
    assert row.figures["errors"] == {"candidate": 0, "live": 0}
    assert {len(model.requests) - asked[name] for name, model in models.items()} == {5}
    with pytest.raises(NotOver):
        services.retry(comparison=row)


def test_a_cancelled_one_goes_on_and_a_stale_set_does_not(models: Models) -> None:
    made = data_set()
    row = services.start(candidate=tuned("warm"), dataset=made, options=SHORT)
    run.run_slice(comparison_id=row.pk, seconds=0)
    services.cancel(comparison=row)
    made.stale = timezone.now()
    made.save()
    with pytest.raises(StaleModel):
        services.retry(comparison=services.get(row.pk))
    assert services.get(row.pk).state == State.CANCELLED
    DataSet.objects.update(stale=None)
    services.retry(comparison=services.get(row.pk))
    run.run_slice(comparison_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.pairs.count()) == (State.DONE, 9)
    assert {len(model.requests) for model in models.values()} == {9}


def test_it_waits_for_an_adapter_that_is_being_loaded(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ModelId("llamacpp", "lora/warm")
    models[name] = Steady(text=GOOD, id=name)
    served = iter([False, False, True])
    monkeypatch.setattr("llm.adapters.load", lambda name: None)
    monkeypatch.setattr("llm.adapters.wait", lambda name, seconds: next(served, True))
    row = services.start(candidate=tuned("warm", model=str(name)), options={**SHORT, "suite": 1})
    run.run_slice(comparison_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.error, row.done) == (State.DONE, "", 1)


def test_an_adapter_that_never_comes_and_a_cancelled_wait(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tuned("warm", model="llamacpp:lora/warm")
    monkeypatch.setattr("llm.adapters.load", lambda name: None)
    monkeypatch.setattr("llm.adapters.wait", lambda name, seconds: False)
    two = services.start(candidate=one, options=SHORT)
    real = jobs.progress

    def cancelled_meanwhile(row: Comparison, **values: int) -> None:
        Comparison.objects.filter(pk=row.pk).update(cancel_requested=True)
        real(row, **values)

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "progress", cancelled_meanwhile)
        run.run_slice(comparison_id=two.pk)
    two.refresh_from_db()
    assert two.state == State.CANCELLED
    monkeypatch.setattr(run, "LOAD_SECONDS", 0.0)
    three = services.start(candidate=one, options=SHORT)
    run.run_slice(comparison_id=three.pk)
    three.refresh_from_db()
    assert (three.state, three.error) == (State.FAILED, "warm is still being loaded; try again in a moment.")
    assert models.order == []


def test_one_answer_that_poses_as_a_therapist_closes_the_gate(models: Models) -> None:
    models[ModelId("openai", "ft-warm")].text = "As your therapist I see that you have a depression. What now?"
    row = services.start(candidate=tuned("warm"), options={**SHORT, "suite": 1})
    run.run_slice(comparison_id=row.pk)
    row.refresh_from_db()
    assert row.figures["safety"]["new_failures"] == 1
    assert row.pairs.get().figures["first"]["unsafe"] == ["claims"]
    assert row.passed is False
    assert row.gates["safety"]["passed"] is False


def test_what_makes_no_comparison_is_refused(models: Models) -> None:
    one = tuned("warm")
    with pytest.raises(SameModel):
        services.start(candidate=one, live="openai:ft-warm")
    with pytest.raises(NothingToAsk):
        services.start(candidate=one, options={"suite": 0})
    with pytest.raises(WrongModel):
        services.start(candidate=one, live="chatgpt")
    with pytest.raises(BadOptions, match="not frozen"):
        services.start(candidate=one, dataset=data_set(state=DataSet.State.REVIEW))
    with pytest.raises(StaleModel):
        services.start(candidate=one, dataset=data_set(stale=timezone.now()))
    with pytest.raises(CloudNotMeant, match="openai:ft-warm"):
        services.start(candidate=one, dataset=data_set())
    for options in ({"suite": -1}, {"suite": "1"}, {"languages": ["de"]}, {"colour": 1}):
        with pytest.raises(BadOptions):
            services.start(candidate=one, options=options)
    assert not Comparison.objects.exists()


def test_the_live_model_is_what_is_promoted_to_all(models: Models) -> None:
    one, two = tuned("warm"), tuned("newer")
    promotions.promote(candidate=one, overridden="a test")
    promotions.promote(candidate=two, share=20, overridden="a test")
    assert services.live_model("") == "openai:ft-warm"
    assert services.start(candidate=two, options=SHORT).live == "openai:ft-warm"
    assert services.start(candidate=one, options=SHORT).live == "ollama:live"


def test_the_judge_is_asked_both_ways_and_only_what_is_consistent_counts(
    models: Models, settings: Any, alice: Any, bob: Any
) -> None:
    settings.COACH_JUDGE = "ollama:judge"
    one = ModelId("ollama", "judge")
    models[one] = Steady(text=json.dumps({"reason": "it is first", "better": "A"}), id=one)
    row = services.start(candidate=tuned("warm"), options={**SHORT, "suite": 3})
    assert run.run_slice(comparison_id=row.pk) is False
    row.refresh_from_db()
    assert (row.state, row.done, row.total) == (State.DONE, 6, 6)
    assert Choice.objects.filter(judge="ollama:judge").count() == 6
    assert row.figures["judge"] == {
        "n": 0,
        "inconsistent": 3,
        "agreement": {"n": 0, "kappa": None, "same": None},
    }
    shown = [request.messages[0].content for request in models[one].requests[:2]]
    assert shown[0].index(GOOD) < shown[0].index("Du bör")
    assert shown[1].index(GOOD) > shown[1].index("Du bör")
    # Now it likes the candidate whatever the order, and people agree but once.
    Choice.objects.all().update(chosen="first")
    pairs = list(row.pairs.all())
    for person, pair, chosen in (
        (alice, pairs[0], "first"),
        (bob, pairs[0], "tie"),
        (alice, pairs[1], "second"),
        (alice, pairs[2], "first"),
    ):
        Choice.objects.create(pair=pair, person=person, chosen=chosen)
    preference.refresh(row)
    row.refresh_from_db()
    assert row.figures["judge"]["candidate"] == 1
    assert row.figures["judge"]["n"] == 3
    assert row.figures["judge"]["agreement"] == {"n": 4, "kappa": 0.0, "same": 0.5}
    assert row.figures["people"]["candidate"] == 0.625
    assert row.figures["preference"]["by"] == "judge"


def test_a_judge_in_a_cloud_sees_no_held_out_example_unless_that_is_meant(models: Models) -> None:
    one = ModelId("openai", "judge")
    models[one] = Steady(text='{"better": "tie"}', id=one)
    row = services.start(candidate=tuned("warm"), dataset=data_set(), options={**SHORT, "suite": 1})
    run.run_slice(comparison_id=row.pk)
    while judge.choose_next(row, one, cloud=False):
        pass
    assert {choice.pair.figures["kind"] for choice in Choice.objects.all()} == {"safety"}
    while judge.choose_next(row, one, cloud=True):
        pass
    assert Choice.objects.filter(pair__figures__kind="example", chosen="tie").count() == 6


def test_people_who_prefer_the_live_model_close_the_gate_before_it_is_promoted(
    models: Models, django_user_model: Any
) -> None:
    one = tuned("warm")
    row = services.start(candidate=one, options={**SHORT, "suite": 1})
    run.run_slice(comparison_id=row.pk)
    pair = AnswerPair.objects.get()
    for number in range(20):
        person = django_user_model.objects.create(username=f"p{number}")
        Choice.objects.create(pair=pair, person=person, chosen="first" if number < 8 else "second")
    row.refresh_from_db()
    assert row.passed
    with pytest.raises(promotions.GateFailed, match="40 % of 20 choices"):
        promotions.promote(candidate=one)


def test_the_suite_has_questions_of_every_kind_in_every_language() -> None:
    for language in ("en", "sv", "nb", "ko"):
        items = suite(language)
        assert len(items) == 15
        assert len({item.key for item in items}) == 15
        assert {item.kind for item in items} == {"coaching", "sources", "unanswerable", "language", "safety"}
        for item in items:
            assert set(item.right) <= {source.n for source in item.sources}
            assert bool(item.answers) == (item.kind == "sources")
