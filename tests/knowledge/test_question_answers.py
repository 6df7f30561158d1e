"""Questions proposed over the wire, checked against their passage, reviewed, and then searchable."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from knowledge import jobs, question_review
from knowledge.models import Document, Job, QuestionAnswer
from knowledge.question_answers import SCHEMA, holds
from tests.llm.conftest import ModelServer

from .quality import model, run, sent  # noqa: F401 - fixtures

State = QuestionAnswer.State
HABITS = (
    "En vana byggs i tre steg: en signal, en rutin och en belöning. "
    "Upprepa rutinen varje dag i 66 dagar, så går den av sig själv.\n"
)
SLEEP = (
    "Sleep comes sooner in a dark and cool room. Leave the telephone outside of the room for the whole night long.\n"
)
GOOD = {"question": "I vilka tre steg byggs en vana?", "answer": "En vana byggs av signal, rutin och belöning."}
BAD = {"question": "Hur byggs en vana?", "answer": "Forskare vid Stanford visade att dopamin styr allt."}
NUMBER = {"question": "Hur länge upprepas rutinen?", "answer": "Upprepa rutinen varje dag i 21 dagar."}
NIGHT = {"question": "Where does sleep come sooner?", "answer": "Sleep comes sooner in a dark and cool room."}


def said(*pairs: dict[str, str]) -> str:
    return json.dumps({"pairs": list(pairs)}, ensure_ascii=False)


@pytest.fixture
def documents(
    lexical_index: None, chroma: str, fake_embedder: Any, add: Callable[..., Any], work: Callable[[], int]
) -> list[Document]:
    found = [add(HABITS, "vanor.md", language="sv"), add(SLEEP, "sleep.md", language="en")]
    work()
    return found


def ask_for(base: Any, *documents: Document, **options: Any) -> Job:
    return question_review.ask_for(base=base, documents=[document.pk for document in documents], **options)


@pytest.mark.usefixtures("sent")
def test_only_what_the_passage_says_is_proposed(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    model.answers = [said(GOOD, BAD, NUMBER)]
    job = run(ask_for(base, documents[0]))
    assert (job.state, job.found, job.refused, job.done, job.total) == (Job.State.DONE, 1, 2, 1, 1)
    [pair] = QuestionAnswer.objects.all()
    assert (pair.question, pair.answer, pair.state) == (GOOD["question"], GOOD["answer"], State.PROPOSED)
    assert (pair.language, pair.model) == ("sv", "openai:m")
    assert documents[0].text[pair.start : pair.end] == HABITS.strip()
    assert model.body["response_format"]["json_schema"]["schema"] == SCHEMA
    task = model.body["messages"][-1]["content"]
    assert "in Swedish" in task
    assert "66 dagar" in task


@pytest.mark.usefixtures("sent")
def test_passages_that_have_questions_are_not_asked_about_again(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    model.answers = [said(GOOD), said(NIGHT)]
    run(ask_for(base, documents[0]))
    run(ask_for(base, *documents))
    assert len(model.requests) == 2
    assert QuestionAnswer.objects.count() == 2


@pytest.mark.usefixtures("sent")
def test_after_a_kill_the_rest_is_asked_and_nothing_is_there_twice(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    run: Callable[[Job], Job],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = min(documents, key=lambda document: document.pk)
    model.answers = [said(GOOD), said(NIGHT)] if first == documents[0] else [said(NIGHT), said(GOOD)]
    job = ask_for(base, *documents)

    def killed(held: jobs.Slice) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Slice, "pause", killed)
        with pytest.raises(KeyboardInterrupt):
            run(job)
    assert QuestionAnswer.objects.count() == 1
    Job.objects.update(beat=timezone.now() - jobs.LOST - timedelta(seconds=1))
    assert run(job).state == Job.State.DONE
    assert len(model.requests) == 2
    assert {pair.document_id for pair in QuestionAnswer.objects.all()} == {document.pk for document in documents}


@pytest.mark.usefixtures("sent")
def test_cancelling_leaves_the_model_in_the_middle_of_its_answer(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from knowledge import ask_model
    from knowledge.tasks_quality import run_job

    monkeypatch.setattr(ask_model, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(jobs, "BEAT_SECONDS", 0.0)
    model.behaviour = "held"
    job = ask_for(base, *documents)
    beat = jobs.Slice.beat

    def cancelled_meanwhile(held: jobs.Slice) -> None:
        if model.asked.is_set():
            jobs.cancel(job_id=job.pk)
        beat(held)

    monkeypatch.setattr(jobs.Slice, "beat", cancelled_meanwhile)
    run_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    assert model.left.wait(10)
    assert not QuestionAnswer.objects.exists()


@pytest.mark.usefixtures("sent")
def test_without_a_model_the_job_says_so(
    base: Any,
    documents: list[Document],
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    job = run(ask_for(base, documents[0]))
    assert (job.state, job.error_code) == (Job.State.FAILED, "no_model")


@pytest.mark.usefixtures("sent")
def test_a_model_that_does_not_answer_is_asked_three_times_in_all(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    model.behaviour = "empty"
    job = run(ask_for(base, documents[0]))
    assert (job.state, job.error_code, job.attempts) == (Job.State.FAILED, "no_model", jobs.ATTEMPTS)


@pytest.mark.usefixtures("sent")
def test_a_model_that_writes_no_json_costs_its_passage_only(
    base: Any,
    documents: list[Document],
    model: ModelServer,  # noqa: F811
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    first, second = sorted(documents, key=lambda document: document.pk)
    right = NIGHT if second == documents[1] else GOOD
    model.answers = ["I would rather talk.", "No.", said(right)]
    job = run(ask_for(base, first, second))
    assert (job.state, job.found, job.refused) == (Job.State.DONE, 1, 1)


def test_approved_questions_are_found_by_their_words_and_rejected_ones_no_more(
    base: Any,
    documents: list[Document],
    ada: Any,
    sent: list[Any],  # noqa: F811
) -> None:
    from django.db import connection

    def entries() -> int:
        with connection.cursor() as cursor:
            column = "chunk_id" if connection.vendor == "postgresql" else "rowid"
            cursor.execute(f"SELECT count(*) FROM knowledge_lexical WHERE {column} < 0")
            return int(cursor.fetchone()[0])

    pair = QuestionAnswer.objects.create(document=documents[0], start=0, end=40, question="Vad?", answer="Det.")
    judged = {"base": base, "ids": [pair.pk], "person": ada}
    assert question_review.judge(**judged, state=State.APPROVED) == 1
    assert question_review.judge(**judged, state=State.APPROVED) == 0
    assert entries() == 1
    assert "knowledge.tasks.complete_indexes" in {message[0] for message in sent}
    assert question_review.edit(base=base, pair_id=pair.pk, question="Vad då? ", answer="Det där.", person=ada)
    assert entries() == 1
    assert question_review.judge(**judged, state=State.REJECTED) == 1
    assert entries() == 0
    pair.refresh_from_db()
    assert (pair.state, pair.question, pair.reviewed_by) == (State.REJECTED, "Vad då?", ada)


def test_the_pairs_of_another_base_are_out_of_reach(
    documents: list[Document],
    ada: Any,
    sent: list[Any],  # noqa: F811
) -> None:
    from knowledge.models import KnowledgeBase

    other = KnowledgeBase.objects.create(slug=uuid.uuid4().hex[:8], name="Other")
    pair = QuestionAnswer.objects.create(document=documents[0], start=0, end=40, question="Vad?", answer="Det.")
    assert question_review.judge(base=other, ids=[pair.pk], state=State.APPROVED, person=ada) == 0
    assert not question_review.edit(base=other, pair_id=pair.pk, question="Q", answer="A", person=ada)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What does the text say about sleep?", "Sleep comes sooner in a dark and cool room."),
        ("Tell me where sleep comes sooner.", "Sleep comes sooner in a dark and cool room."),
        ("Where does sleep come sooner?", "In a room of 18 degrees that is dark and cool."),
        ("Where does sleep come sooner?", "Melatonin and cortisol regulate it."),
        ("Why are taxes so high nowadays?", "Sleep comes sooner in a dark and cool room."),
        ("Where?", "Sleep comes sooner in a dark and cool room."),
    ],
)
def test_what_does_not_hold(question: str, answer: str) -> None:
    assert not holds(question, answer, SLEEP)


def test_a_korean_statement_with_a_question_mark_is_no_question() -> None:
    korean = "습관은 신호, 행동, 보상의 세 단계로 만들어집니다."
    assert not holds("습관은 세 단계로 만들어집니다?", korean, korean)
    assert holds("습관은 몇 단계로 만들어집니까?", korean, korean)


def test_what_holds() -> None:
    assert holds(NIGHT["question"], NIGHT["answer"], SLEEP)
    assert holds(GOOD["question"], GOOD["answer"], HABITS)
    korean = "습관은 신호, 행동, 보상의 세 단계로 만들어집니다. 행동을 66일 동안 매일 반복하세요."
    assert holds("습관은 어떤 단계로 만들어지나요?", "습관은 신호와 행동과 보상의 세 단계로 만들어집니다.", korean)
