"""The test bench: what the runner looked at reaches the page, from the live index or another one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string
from django.test import AsyncClient, Client

from knowledge import bench, lexical, rerank, retrieval, search_channel
from knowledge.admin_bench import MOST_K, K, Line, Side, _compared, _read, question
from knowledge.models import Chunk, Document, IndexGeneration, KnowledgeBase
from tests.knowledge.panel import BASES, document_of, read, staff, text_of


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def lanterns(lexical_index: None, base: Any, fake_embedder: Any) -> Iterator[list[IndexGeneration]]:
    """A live generation and a retired one, which cut a document differently; Chroma is away."""
    document = document_of(base, "lantern.md")
    made = []
    for splitter, passages, state in (("new", 2, "live"), ("old", 3, "retired")):
        chunks = read(document, passages, splitter)
        words = [lexical.Entry(one.pk, one.splitting_id, f"lantern bridge {one.position}") for one in chunks]
        lexical.add(lexical.rows(words))
        made.append(
            IndexGeneration.objects.create(
                base=base,
                splitting=chunks[0].splitting,
                embedder=fake_embedder.id,
                dimensions=fake_embedder.dimensions,
                collection=f"kb-{splitter}",
                state=state,
                chunks_total=passages,
            )
        )
    retrieval._live.clear()
    yield made
    retrieval._live.clear()
    bench.shutdown()


async def test_everything_that_was_looked_at_is_told(lanterns: list[IndexGeneration]) -> None:
    live, retired = lanterns
    found = await bench.explained(query="lantern", bases=[live.base_id], k=1, language="")
    assert found["result"]["degraded"] == "dense_unavailable"
    assert len(found["result"]["passages"]) == 1
    assert len(found["candidates"]) == 2
    assert set(found["thresholds"]) == {live.embedder}
    other = await bench.explained(query="lantern", bases=[live.base_id], k=5, language="", generation=retired.pk)
    assert len(other["candidates"]) == 3
    assert await bench.explained(query="lantern", bases=[live.base_id], k=5, language="", generation=0) == {}


async def test_the_page_shows_what_a_runner_found(broker: str, ada: Any, lanterns: list[IndexGeneration]) -> None:
    from channels.layers import get_channel_layer

    async def serve() -> None:
        searcher = search_channel.Searcher()
        while True:
            await searcher.knowledge_explain(await get_channel_layer().receive(search_channel.CHANNEL))

    server = asyncio.create_task(serve())
    await asyncio.sleep(0.2)
    live, retired = lanterns
    client = AsyncClient()
    await client.aforce_login(ada)
    query = {"q": "Where is the lantern?", "k": "1", "other": str(retired.pk)}
    try:
        answer = await client.get(f"{BASES}/{live.base_id}/bench/", query)
    finally:
        server.cancel()
    page = answer.content.decode()
    assert answer.status_code == 200
    assert page.count('class="ac-card ac-side"') == 2
    assert "only words were searched" in page
    assert "Passage &lt;" in page
    assert "ac-moved" in page


def test_without_a_runner_the_page_says_so(panel: Client, base: Any) -> None:
    assert "the search does not answer" in text_of(panel, f"{BASES}/{base.pk}/bench/", q="Lantern?").lower()


def test_the_form_forgives(base: Any) -> None:
    generation = IndexGeneration.objects.create(
        base=base, splitting=base.splittings.create(splitter="s"), embedder="e", dimensions=3, collection="c"
    )
    other = KnowledgeBase.objects.create(slug="other", name="Other")
    odd = question(QueryDict("q=+x+&k=99&language=xx&base=x&base=-1&one=y&other=12345"), base)
    assert (odd.text, odd.k, odd.language, odd.bases, odd.one, odd.other) == ("x", MOST_K, "", [base.pk], None, None)
    good = question(QueryDict(f"q=x&k=&language=sv&base={other.pk}&one={generation.pk}"), base)
    assert (good.k, good.language, good.bases, good.one) == (K, "sv", [other.pk], generation)
    assert question(QueryDict(f"one={generation.pk}"), other).one is None, "of another base"


def _candidate(chunk: int, why: str = "", **scores: float) -> dict[str, Any]:
    passage = {"chunk": chunk, "document": "d", "title": "T", "location": "p. 1", "text": "x", "score": 0.5}
    return {"passage": {**passage, "scores": scores}, "why": why}


def test_chosen_ones_come_first_and_the_others_say_why() -> None:
    candidates = [_candidate(1, "repeats", dense=0.9, dense_rank=1), _candidate(2, dense=0.45, dense_rank=2)]
    passages = [candidates[1]["passage"]]
    result = {"passages": passages, "covered": True, "degraded": "", "timings": {"embed": 0.03, "dense": 0.01}}
    side = _read("Live", {"result": result, "candidates": candidates})
    assert [(line.chunk, line.rank, line.why) for line in side.lines] == [
        (2, 1, ""),
        (1, 0, "says the same as a better one"),
    ]
    first = side.lines[0].scores[0]
    assert first is not None
    assert (first.value, first.rank, first.percent) == (0.45, 2, 50)
    assert side.milliseconds == 40.0
    assert [(stage.percent, stage.before) for stage in side.stages] == [(75.0, 0.0), (25.0, 75.0)]


@pytest.mark.parametrize(
    ("code", "said"), [("", ""), ("done", ""), ("rerank_failed", "failed"), ("rerank_late", "took too long")]
)
def test_a_reranker_that_was_of_no_use_is_told(code: str, said: str) -> None:
    result = {"passages": [], "covered": True, "degraded": "", "timings": {}}
    side = _read("Live", {"result": result, "candidates": [_candidate(1, dense=0.9)], "reranked": code})
    assert said in side.not_reranked
    assert bool(said) == bool(side.not_reranked)


async def test_a_search_whose_reranker_fails_says_so(
    lanterns: list[IndexGeneration], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "SECONDS", 120.0)  # the library itself takes seconds to be loaded
    settings.COACH_RERANKER = "cross-encoder:nowhere"
    settings.OFFLINE = True
    found = await bench.explained(query="lantern", bases=[lanterns[0].base_id], k=5, language="")
    assert found["reranked"] == "rerank_failed"
    assert len(found["result"]["passages"]) == 2
    page = render_to_string("admin/knowledge/bench_side.html", {"side": _read("Live", found), "number": 1})
    assert "The reranker failed: the order is the one without it." in page


@pytest.mark.parametrize(
    ("best", "covered", "said"),
    [
        (0.7, True, "0.660 is enough"),
        (0.6, True, "as the words agree, 0.540 is enough"),
        (0.6, False, "as the words do not agree, it takes 0.660"),
        (0.5, False, "it takes 0.660, or 0.540 if the words agree"),
    ],
)
def test_the_threshold_that_decided_is_named(best: float, covered: bool, said: str) -> None:
    result = {"passages": [], "covered": covered, "degraded": "", "timings": {}}
    found = {"result": result, "candidates": [_candidate(1, dense=best)], "thresholds": {"e5-small": [0.66, 0.54]}}
    side = _read("Live", found)
    assert f"a cosine of {best:.3f}" in side.reason
    assert said in side.reason


def test_two_indexes_are_compared_by_place_in_the_text() -> None:
    def line(rank: int, chunk: int) -> Line:
        return Line(rank, chunk, "d", "T", "", "x", 0.1, [], "")

    one, other = Side("one", lines=[line(1, 1), line(2, 2)]), Side("other", lines=[line(1, 12), line(2, 13)])
    spans = {1: (0, 100), 2: (100, 200), 12: (120, 220), 13: (300, 400)}
    assert [found.other for found in _compared(one, other, spans).lines] == [0, 1]
    assert [found.other for found in _compared(other, one, spans).lines] == [2, 0]


def test_the_bench_needs_its_permission(client: Client, alice: Any, base: Any) -> None:
    client.force_login(staff(alice, "view_knowledgebase"))
    assert client.get(f"{BASES}/{base.pk}/bench/").status_code == 403
    client.force_login(staff(alice, "view_document"))
    assert "Ask something" in text_of(client, f"{BASES}/{base.pk}/bench/")
    assert not Document.objects.exists() and not Chunk.objects.exists()
