"""Near-duplicates and contradictions: found by vectors and words, judged over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge import jobs, similar
from knowledge.models import Job, PassagePair
from tests.llm.conftest import ModelServer

from .quality import model, run, sent  # noqa: F401 - fixtures

pytestmark = pytest.mark.usefixtures("sent", "lexical_index", "chroma", "fake_embedder")
Kind = PassagePair.Kind

LINE = "You can call the help line for people in a crisis on {} at any hour of the day or night.\n"
OTHERS = [
    ("grow.md", "The GROW model asks for the goal, reality, options and the will to act.\n"),
    ("sleep.md", "A dark and cool room lets most people fall asleep sooner.\n"),
    ("food.md", "Breakfast gives strength for a long morning of work.\n"),
    ("walk.md", "Walking in a forest calms the mind and rests the eyes.\n"),
]
COPY = "Write down three good things every evening before you go to bed, however small they are.\n"


@pytest.fixture
def indexed(add: Callable[..., Any], work: Callable[[], int], settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    for name, text in OTHERS:
        add(text, name, language="en")
    add(LINE.format(90101), "help.md", language="en")
    add(LINE.format(90909), "old-help.md", language="en")
    add(COPY, "gratitude.md", language="en")
    add(COPY + "Begin today.\n", "thanks.md", language="en")
    add(COPY + "Börja.\n", "gratitude-sv.md", language="sv")
    work()


def pairs() -> dict[str, tuple[set[str], bool, str]]:
    rows = PassagePair.objects.select_related("one__document", "other__document")
    return {
        pair.kind: ({pair.one.document.filename, pair.other.document.filename}, pair.dismissed, pair.note)
        for pair in rows
    }


@pytest.mark.usefixtures("indexed")
def test_without_a_model_rules_find_both_kinds(base: Any, run: Callable[[Job], Job], tmp_path: Path) -> None:  # noqa: F811
    job = run(jobs.ask(base=base, kind=Job.Kind.PAIRS))
    assert (job.state, job.found) == (Job.State.DONE, 2)
    assert pairs() == {
        Kind.DUPLICATE: ({"gratitude.md", "thanks.md"}, False, ""),
        Kind.CONTRADICTION: ({"help.md", "old-help.md"}, False, "#numbers 90101 / 90909"),
    }
    assert list((tmp_path / "run" / "jobs").iterdir()) == []
    PassagePair.objects.update(dismissed=True)
    again = run(jobs.ask(base=base, kind=Job.Kind.PAIRS))
    assert (again.found, PassagePair.objects.filter(dismissed=True).count()) == (0, 2)


@pytest.mark.usefixtures("indexed")
def test_a_model_says_whether_they_contradict(
    base: Any,
    run: Callable[[Job], Job],  # noqa: F811
    model: ModelServer,  # noqa: F811
) -> None:
    model.answers = [json.dumps({"reason": "Two numbers for one line.", "contradict": True})]
    assert run(jobs.ask(base=base, kind=Job.Kind.PAIRS)).state == Job.State.DONE
    assert len(model.requests) == 1
    body = model.body
    assert body["response_format"]["json_schema"]["schema"] == similar.SCHEMA
    assert "90101" in body["messages"][-1]["content"]
    assert "90909" in body["messages"][-1]["content"]
    assert pairs()[Kind.CONTRADICTION][1:] == (False, "Two numbers for one line. (openai:m)")


@pytest.mark.usefixtures("indexed")
def test_what_a_model_finds_fine_is_out_of_sight_and_not_asked_again(
    base: Any,
    run: Callable[[Job], Job],  # noqa: F811
    model: ModelServer,  # noqa: F811
) -> None:
    model.answers = [json.dumps({"reason": "Two lines.", "contradict": False})]
    run(jobs.ask(base=base, kind=Job.Kind.PAIRS))
    assert pairs()[Kind.CONTRADICTION][1:] == (True, "Two lines. (openai:m)")
    run(jobs.ask(base=base, kind=Job.Kind.PAIRS))
    assert len(model.requests) == 1


@pytest.mark.usefixtures("indexed")
def test_a_model_in_a_cloud_is_not_asked_unless_allowed(
    base: Any,
    run: Callable[[Job], Job],  # noqa: F811
    model: ModelServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from llm.types import Place

    monkeypatch.setattr("llm.providers.openai.place_of", lambda url: Place.CLOUD)
    run(jobs.ask(base=base, kind=Job.Kind.PAIRS))
    assert model.requests == []
    model.answers = [json.dumps({"reason": "Two numbers.", "contradict": True})]
    run(jobs.ask(base=base, kind=Job.Kind.PAIRS, options={"cloud": True}))
    assert len(model.requests) == 1


@pytest.mark.usefixtures("indexed")
def test_in_slices_the_same_is_found(
    base: Any,
    run: Callable[[Job], Job],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(similar, "BLOCK", 2)
    assert run(jobs.ask(base=base, kind=Job.Kind.PAIRS)).state == Job.State.DONE
    assert set(pairs()) == {Kind.DUPLICATE, Kind.CONTRADICTION}
    assert PassagePair.objects.count() == 2
