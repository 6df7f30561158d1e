"""The parts that the benchmarks stand on; the measures themselves run with `make bench`."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import processes, questions
from bench.application import FakeModel
from bench.client import plain
from bench.fake_model import answer_text, pace_of, pieces
from bench.pdf import write_pdf
from bench.report import Row, median, percentile


@pytest.fixture(scope="module")
def model() -> Iterator[FakeModel]:
    model = FakeModel()
    yield model
    model.close()


def complete(model: FakeModel, name: str, *, stream: bool) -> bytes:
    body = json.dumps({"model": name, "stream": stream, "messages": []}).encode()
    with urllib.request.urlopen(f"{model.url}/chat/completions", data=body, timeout=30) as answer:
        return bytes(answer.read())


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data: ")]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_the_fake_model_streams_its_text_and_then_its_usage(model: FakeModel) -> None:
    found = events(complete(model, "pace-1-1-40", stream=True))
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in found if event["choices"])
    assert text == answer_text("pace-1-1-40") and len(pieces(40)) == 40
    assert found[-1]["usage"]["completion_tokens"] == 40
    assert [e["choices"][0]["finish_reason"] for e in found if e["choices"]][-1] == "stop"


def test_the_fake_model_answers_whole_lists_itself_and_fails_when_told(model: FakeModel) -> None:
    whole = json.loads(complete(model, "pace-1-1-40", stream=False))
    assert whole["choices"][0]["message"]["content"] == answer_text("pace-1-1-40")
    with urllib.request.urlopen(f"{model.url}/models", timeout=30) as answer:
        assert json.load(answer)["data"][0]["id"] == "bench"
    with pytest.raises(urllib.error.HTTPError) as refused:
        complete(model, "fail-429", stream=True)
    assert refused.value.code == 429


def test_the_fake_model_counts_who_left(model: FakeModel) -> None:
    before = model.stats()
    body = json.dumps({"model": "pace-1-50-1000", "stream": True}).encode()
    with urllib.request.urlopen(f"{model.url}/chat/completions", data=body, timeout=30) as answer:
        answer.read(1)
        assert model.stats()["active"] == before["active"] + 1
    while model.stats()["left"] == before["left"]:
        pass
    assert model.stats()["active"] == before["active"]


def test_the_pace_is_in_the_name() -> None:
    assert (pace_of("bench").first, pace_of("bench").gap, pace_of("bench").tokens) == (0.05, 0.005, 120)
    assert pace_of("break-10-20-30").kind == "break"


def test_no_question_comes_twice() -> None:
    assert len(set(questions.take(3000, 17))) == 3000


def test_the_book_has_its_pages_and_its_text(tmp_path: Path) -> None:
    from pypdf import PdfReader

    write_pdf(tmp_path / "book.pdf", 30)
    reader = PdfReader(tmp_path / "book.pdf", strict=True)
    assert len(reader.pages) == 30
    assert "Page 30 of a long book." in reader.pages[29].extract_text()
    assert len({page.extract_text() for page in reader.pages}) == 30
    assert 1000 < (tmp_path / "book.pdf").stat().st_size / 30 < 1500


def test_processes_are_seen_with_their_memory_and_time() -> None:
    me = os.getpid()
    assert me in {process.pid for process in processes.tree(me)}
    assert sum(processes.memory_mb(me).values()) > 10
    assert sum(processes.cpu_seconds(me).values()) > 0
    assert processes.peak_mb(me) > 10
    assert processes.spent({"web": 1.0}, {"web": 1.5, "runner": 2.0}) == {"web": 0.5, "runner": 2.0}


def test_a_row_knows_whether_it_met_its_target() -> None:
    assert Row("a", 39, "ms", 40).verdict == "ok"
    assert Row("a", 41, "ms", 40).verdict == "MISSED"
    assert Row("a", 34, "turns/s", 35, at_most=False).verdict == "MISSED"
    assert Row("a", 1, "ms").verdict == ""


def test_medians_and_percentiles() -> None:
    assert median([3, 1, 2]) == 2
    assert percentile(list(range(100)), 95) == 95
    assert (median([]), percentile([], 95)) == (0, 0)


def test_answers_are_compared_without_their_citations() -> None:
    assert plain("One [1] two  [2][3].\n") == "One two."
