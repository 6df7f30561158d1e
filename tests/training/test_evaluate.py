"""`evaluate` on a small set of our own, with the real embedder and the real turn."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from training.evaluation import wording
from training.evaluation.datasets import BadDataset, read_cases, read_retrieval_set
from training.models import EvaluationRun

CORPUS = {
    "habits": "A habit forms when the same action follows the same cue for about two months.",
    "sleep": "A fixed time to get up helps the body to find its rhythm and to sleep better.",
    "feedback": "Feedback is heard best when it names what was seen and asks a question.",
}
QUERIES = {"q1": ("How long does a habit take?", "habits"), "q2": ("How do I sleep better?", "sleep")}


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny_en"
    (folder / "qrels").mkdir(parents=True)
    corpus = [json.dumps({"_id": id_, "title": "", "text": text}) for id_, text in CORPUS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    queries = [json.dumps({"_id": id_, "text": text}) for id_, (text, _) in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    lines = ["query-id\tcorpus-id\tscore", *(f"{id_}\t{gold}\t1" for id_, (_, gold) in QUERIES.items())]
    (folder / "qrels" / "dev.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "tiny_en.jsonl"
    contexts = [{"id": id_, "text": text} for id_, text in CORPUS.items()]
    rows = [
        {
            "id": "a",
            "question": "How can I let a habit form with a cue?",
            "contexts": contexts,
            "gold_context_id": "habits",
            "answers": ["two months"],
            "answerable": True,
        },
        {
            "id": "b",
            "question": "Which mushrooms are poisonous?",
            "contexts": contexts,
            "gold_context_id": None,
            "answers": [],
            "answerable": False,
        },
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture(autouse=True)
def _own_cache(transactional_db: None) -> Iterator[None]:
    yield
    from knowledge import retrieval

    retrieval._threads.shutdown()


def evaluate(*arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("evaluate", *map(str, arguments), "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_retrieval(beir: Path) -> None:
    found = evaluate("retrieval", beir.parent)
    assert found["sets"]["tiny_en"]["hybrid"] == {"ndcg@10": 1.0, "recall@5": 1.0, "recall@10": 1.0}
    assert set(found["mean"]) == {"dense", "lexical", "hybrid"}
    assert found["sets"]["tiny_en"]["latency_ms"]["p95"] > 0
    run = EvaluationRun.objects.get()
    assert (run.kind, run.items, run.figures["mean"]) == ("retrieval", 2, found["mean"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM knowledge_chunk")
        assert cursor.fetchone()[0] == 0, "the admin's bases are left alone"
        cursor.execute("SELECT count(*) FROM knowledge_lexical")
        assert cursor.fetchone()[0] == 0


def test_answers_are_resumed(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    found = evaluate("answers", answers, "--out", out, "--model", "guided")
    assert found["all"]["cases"] == 2
    assert found["all"]["match"]["contains"]["mean"] == 1.0
    assert found["all"]["citations"]["recall"]["mean"] == 1.0
    assert found["all"]["abstention"]["f1"]["mean"] == 1.0
    assert found["all"]["phantom"] == 0
    lines = out.read_text().splitlines()
    out.write_text(lines[0] + "\n" + lines[1][:40])  # killed in the middle of a line
    again = evaluate("answers", answers, "--out", out, "--model", "guided")
    assert again["languages"]["en"]["match"] == found["languages"]["en"]["match"]
    assert len(out.read_text().splitlines()) == 3
    assert EvaluationRun.objects.filter(kind="answers").count() == 2


def test_a_page_shows_them_over_time(beir: Path, admin_client: Any) -> None:
    evaluate("retrieval", beir)
    evaluate("retrieval", beir)
    page = admin_client.get("/admin/training/evaluationrun/over-time/")
    assert page.status_code == 200
    assert "tiny_en · ndcg@10" in page.content.decode() and "<polyline" in page.content.decode()
    assert admin_client.get("/admin/training/evaluationrun/").status_code == 200


def test_what_is_wrong_is_said_in_one_sentence(beir: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CommandError, match=r"holds no corpus\.jsonl"):
        evaluate("retrieval", empty)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "?"}')
    with pytest.raises(BadDataset, match="answerable"):
        read_cases(bad)
    bad.write_text("nothing")
    with pytest.raises(BadDataset, match="line 1"):
        read_cases(bad)
    with pytest.raises(CommandError, match="COACH_EMBEDDER"):
        evaluate("retrieval", beir, "--embedder", "nothing")
    with pytest.raises(BadDataset):
        read_retrieval_set(empty)


ABSTENTIONS = (
    ("The sources do not say when it was built.", "en"),
    ("I cannot find this in the sources.", "en"),
    ("Källorna säger inget om det.", "sv"),
    ("Det framgår inte av texten vem som vann.", "sv"),
    ("Kildene sier ikke noe om dette.", "nb"),
    ("자료에는 이에 대한 내용이 없습니다.", "ko"),
)
ANSWERS = (
    ("It was built in 1889 [1].", "en"),
    ("Det byggdes inte förrän 1889 [1].", "sv"),
    ("Den ble ikke bygget før 1889 [1].", "nb"),
    ("1889년에 지어졌습니다 [1].", "ko"),
)


def test_abstentions_are_recognised() -> None:
    assert [text for text, language in ABSTENTIONS if not wording.abstains(text, language)] == []
    assert [text for text, language in ANSWERS if wording.abstains(text, language)] == []


def test_numbers_in_an_answer() -> None:
    assert wording.citation_numbers("One [1]. Two [2, 3] and 【4】.") == [1, 2, 3, 4]
    assert wording.without_numbers("One [1].") == "One  ."
