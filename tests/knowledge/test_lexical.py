"""Words and character n-grams in SQL. The tests of the index run on whatever database the settings name."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from knowledge import lexical
from knowledge.lexical import Entry, terms


def test_latin_words_and_their_grams() -> None:
    assert terms("Målen") == ["_målen_", "_mål", "måle", "ålen", "len_"]
    assert terms("I am") == ["_i_", "_am_"]


def test_hangul_in_pairs() -> None:
    assert terms("목표는 SMART") == ["목표", "표는", "_smart_", "_sma", "smar", "mart", "art_"]
    assert terms("나") == ["나"]


def test_compatibility_forms_are_one_word() -> None:
    assert terms("ＡＢＣ ﬁne") == terms("abc fine")


@given(st.text())
def test_terms_hold_nothing_that_a_query_could_mean(text: str) -> None:
    assert all(term.strip() == term and not set(term) & set("\"'\\ :*()\x00") for term in terms(text))


@pytest.fixture
def store(lexical_index: None) -> Any:
    """Indexes texts as chunks 1, 2, 3 … of splitting 1; the rows that count chunks are made, too."""
    from knowledge.models import Chunk, Document, KnowledgeBase, Splitting

    def add(*texts: str, base: int = 1) -> list[int]:
        owner = KnowledgeBase.objects.get_or_create(pk=base, defaults={"slug": f"b{base}", "name": f"b{base}"})[0]
        splitting = Splitting.objects.get_or_create(pk=base, base=owner)[0]
        document = Document.objects.create(base=owner, title="t", filename="t.txt", sha256=f"{base}{texts}"[:64])
        chunks = Chunk.objects.bulk_create(
            Chunk(document=document, splitting=splitting, position=at, start=0, end=1, text=text)
            for at, text in enumerate(texts)
        )
        with transaction.atomic():
            lexical.add(lexical.rows(Entry(chunk.pk, base, chunk.text) for chunk in chunks))
        return [chunk.pk for chunk in chunks]

    return add


def test_the_best_passage_comes_first(store: Any) -> None:
    ids = store("Målen ska vara tydliga", "Vanor formas långsamt", "Tydlighet är bra", "Sömn och energi", "Något annat")
    found = lexical.search("tydliga mål", [1], 10).ranking
    assert [chunk for chunk, _ in found][:2] == [ids[0], ids[2]]
    assert found[0][1] > found[1][1] > 0


def test_swedish_compounds_and_korean_particles_are_found(store: Any) -> None:
    ids = store(
        "Arbetsmiljöansvaret ligger hos chefen", "목표는 구체적이어야 합니다", "Något helt annat", "Mer text här"
    )
    assert lexical.search("ansvar för arbetsmiljö", [1], 1).ranking[0][0] == ids[0]
    assert lexical.search("목표를 세우기", [1], 1).ranking[0][0] == ids[1]


def test_other_bases_are_not_searched(store: Any) -> None:
    store("A passage about habits", base=1)
    other = store("Another passage about habits", base=2)
    assert [chunk for chunk, _ in lexical.search("habits", [2], 10).ranking] == other
    assert len(lexical.search("habits", [1, 2], 10).ranking) == 2


def test_replaced_and_removed_chunks(store: Any) -> None:
    first, second = store("Old words stand here", "Second passage")
    with transaction.atomic():
        lexical.add(lexical.rows([Entry(first, 1, "New content instead")]))
        lexical.remove([second, 987654])
    assert lexical.search("words", [1], 5).ranking == ()
    assert [chunk for chunk, _ in lexical.search("content", [1], 5).ranking] == [first]
    assert lexical.search("second", [1], 5).ranking == ()


def test_function_words_are_asked_for_only_when_there_are_no_others() -> None:
    assert lexical.query_terms("Vad är GROW?") == sorted(set(terms("grow")))
    assert lexical.query_terms("What is it?") == sorted(set(terms("what is it")))


def test_a_rolled_back_transaction_leaves_nothing(store: Any) -> None:
    class Stop(Exception):
        pass

    first = store("Something")[0]

    @transaction.atomic
    def write_and_stop() -> None:
        lexical.add(lexical.rows([Entry(first, 1, "Rolled back")]))
        raise Stop

    with pytest.raises(Stop):
        write_and_stop()
    assert lexical.search("rolled", [1], 5).ranking == ()


@pytest.mark.parametrize("query", ["", "   ", "???", '" OR * NEAR(', "base : b2", "'; DROP TABLE x --", "x" * 100_000])
def test_odd_queries_are_harmless(store: Any, query: str) -> None:
    store("A passage about bases and tables")
    lexical.search(query, [1], 5).ranking
    assert lexical.search("passage", [1], 5).ranking


def test_the_cost_of_a_query_is_bounded() -> None:
    large = lexical.choose({f"t{number}": 1000 * number for number in range(1, 41)}, 1_000_000)
    assert len(large) == lexical.LEAST_TERMS
    counts = {f"t{number}": number for number in range(1, 1001)}
    chosen = lexical.choose(counts, 1000)
    assert len(chosen) == lexical.MOST_TERMS
    assert max(counts[term] for term in chosen) <= lexical.COMMON_SHARE * 1000
