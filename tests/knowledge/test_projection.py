"""The map: subjects and not languages, the same picture each time, questions on the same axes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coach.models import Turn
from knowledge import jobs, map_data, projection, services
from knowledge.models import Chunk, IndexMap, Job

from .quality import run, sent  # noqa: F401 - fixtures

LANGUAGES = ("en", "sv", "nb", "ko")


def made(subjects: int = 4, each: int = 12) -> tuple[Any, list[str], Any]:
    """Vectors as e5's: a strong part for the language, a weaker one for the subject, and noise."""
    random = np.random.default_rng(3)
    of_language = np.sign(random.normal(size=(len(LANGUAGES), 64))) * 3
    of_subject = np.sign(random.normal(size=(subjects, 64)))
    rows, spoken, about = [], [], []
    for number, language in enumerate(LANGUAGES):
        for subject in range(subjects):
            for _ in range(each):
                rows.append(of_language[number] + of_subject[subject] + random.normal(size=64) * 0.25)
                spoken.append(language)
                about.append(subject)
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), spoken, np.array(about)


def neighbours_alike(places: Any, values: Any) -> float:
    distance = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argsort(axis=1)[:, :10]
    return float((values[nearest] == values[:, None]).mean())


def test_subjects_make_the_picture_not_languages() -> None:
    vectors, spoken, about = made()
    places = projection.fit(vectors, spoken).place(vectors, spoken)
    assert neighbours_alike(places, about) > 0.9
    assert neighbours_alike(places, np.array(spoken)) < 0.45
    assert places.min() >= 0
    assert places.max() <= 1


def test_the_same_vectors_give_the_same_map() -> None:
    vectors, spoken, _about = made()
    one, other = (projection.fit(vectors, spoken).place(vectors, spoken) for _ in range(2))
    assert (one == other).all()


def test_a_text_in_an_unknown_language_is_placed_by_the_mean_of_all() -> None:
    vectors, spoken, _about = made()
    assert projection.fit(vectors, spoken).place(vectors[:1], ["fr"]).shape == (1, 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_passages_is_drawn_too(count: int) -> None:
    vectors, spoken, _about = made()
    places = projection.fit(vectors[:count], spoken[:count]).place(vectors[:count], spoken[:count])
    assert np.isfinite(places).all()


def test_equal_vectors_are_drawn_too() -> None:
    vectors = np.ones((6, 8), np.float32) / np.sqrt(8)
    assert np.isfinite(projection.fit(vectors, ["en"] * 6).place(vectors, ["en"] * 6)).all()


# --- the job -------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("sent")


@pytest.fixture
def indexed(
    lexical_index: None, chroma: str, fake_embedder: Any, add: Callable[..., Any], work: Callable[[], int]
) -> list[Any]:
    documents = [
        add("# Sleep\n\nSleep early and sleep long. A dark room helps sleep.\n", "sleep.md", language="en"),
        add("# Habits\n\nA habit begins small. Repeat the habit daily.\n", "habits.md", language="en"),
        add("# Vaner\n\nEn vane börjar liten. Upprepa din vane dagligen.\n", "vaner.md", language="sv"),
    ]
    work()
    return documents


def unanswered(talk: Any, question: str, **values: Any) -> Turn:
    position = Turn.objects.filter(conversation=talk).count()
    return Turn.objects.create(
        conversation=talk, position=position, question=question, state=Turn.State.DONE, grounded=False, **values
    )


def test_the_map_is_drawn_with_unanswered_questions_and_leaves_out_what_was_deleted(
    base: Any,
    indexed: list[Any],
    talk: Any,
    run: Callable[[Job], Job],  # noqa: F811
) -> None:
    asked = unanswered(talk, "What about my taxes?")
    unanswered(talk, "hello")
    secret = type(talk).objects.create(owner=talk.owner, coach=talk.coach, private=True)
    unanswered(secret, "What does nobody know?")
    found, stale = map_data.stored(base)
    assert (found, stale) == (None, True)
    job = run(jobs.ask(base=base, kind=Job.Kind.MAP))
    assert (job.state, job.done, job.total) == (Job.State.DONE, 4, 4)
    found, stale = map_data.stored(base)
    assert found is not None
    assert not stale
    assert "What" not in str([found.axes, found.points]), "a question's words stay where they are"
    drawing = map_data.drawing(found)
    assert {point[0] for point in drawing["points"]} == set(Chunk.objects.values_list("pk", flat=True))
    assert [question["text"] for question in drawing["questions"]] == [""]
    assert str(asked.pk) in drawing["questions"][0]["url"]
    services.delete_document(document_id=indexed[0].pk)
    found, stale = map_data.stored(base)
    assert found is not None
    assert stale
    assert len(map_data.drawing(found)["points"]) == 2
    asked.delete()
    assert map_data.drawing(found)["questions"] == []


def test_questions_of_people_never_go_to_an_embedder_in_a_cloud_for_the_map(
    base: Any,
    indexed: list[Any],
    talk: Any,
    run: Callable[[Job], Job],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unanswered(talk, "What about my taxes?")
    monkeypatch.setattr(projection, "is_cloud", lambda _id: True)
    assert run(jobs.ask(base=base, kind=Job.Kind.MAP)).state == Job.State.DONE
    found, _stale = map_data.stored(base)
    assert found is not None
    drawing = map_data.drawing(found)
    assert (len(drawing["points"]), drawing["questions"]) == (3, [])


@pytest.mark.django_db
def test_a_base_without_passages_says_so(base: Any, run: Callable[[Job], Job]) -> None:  # noqa: F811
    job = run(jobs.ask(base=base, kind=Job.Kind.MAP))
    assert (job.state, job.error_code) == (Job.State.FAILED, "empty")
    assert not IndexMap.objects.exists()
    assert map_data.stored(base) == (None, False)
    assert uuid.UUID(str(job.pk))
