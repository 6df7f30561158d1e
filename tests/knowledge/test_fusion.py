"""Fusing two rankings and choosing from them."""

from __future__ import annotations

from knowledge.choosing import choose, worth_showing
from knowledge.fusion import Candidate, fuse
from knowledge.lexical import Hits
from knowledge.types import Passage

NONE = Hits()

TEXTS = {
    1: "Goals should be clear and measurable",
    2: "Habits form slowly in the same context",
    3: "Sleep gives energy for the whole day",
    4: "Feedback is a gift when it is asked for",
}


def candidate(chunk: int, *, text: str = "", language: str = "", filename: str = "") -> Candidate:
    return Candidate(
        chunk,
        f"document-{chunk}",
        1,
        "Title",
        filename or f"{chunk}.md",
        language,
        None,
        [],
        text or TEXTS.get(chunk, ""),
    )


def chunks(ranking: object) -> list[int]:
    return [ranked.candidate.chunk for ranked in ranking]  # type: ignore[attr-defined]


def test_what_both_rankings_find_goes_first() -> None:
    found = {number: candidate(number) for number in (1, 2, 3)}
    ranking = fuse(found, [[(1, 0.9), (2, 0.89)]], Hits(((3, 20.0), (2, 19.0)), 40.0))
    assert chunks(ranking) == [2, 1, 3]
    assert ranking[0].scores == {
        "dense": 0.89,
        "dense_rank": 2,
        "lexical": 19.0,
        "lexical_rank": 2,
        "fused": 1.45,
    }
    assert ranking[1].scores["lexical"] is None


def test_small_words_in_common_count_little() -> None:
    """A passage in the question's language shares its small words; another one, in English, answers it."""
    found = {number: candidate(number) for number in (1, 2, 3, 4)}
    dense = [(1, 0.89), (3, 0.86), (4, 0.85), (2, 0.84)]
    assert chunks(fuse(found, [dense], Hits(((2, 3.0),), 30.0)))[0] == 1
    assert chunks(fuse(found, [dense], Hits(((2, 30.0),), 30.0)))[0] == 2


def test_orphan_vectors_take_no_rank() -> None:
    ranking = fuse({2: candidate(2)}, [[(99, 0.95), (2, 0.9)]], NONE)
    assert ranking[0].scores["dense_rank"] == 1


def test_the_coachees_language_goes_first_among_near_equals_only() -> None:
    found = {1: candidate(1, language="en"), 2: candidate(2, language="sv")}
    assert chunks(fuse(found, [[(1, 0.900), (2, 0.895)]], NONE, "sv")) == [2, 1]
    assert chunks(fuse(found, [[(1, 0.900), (2, 0.860)]], NONE, "sv")) == [1, 2]
    assert chunks(fuse(found, [[(1, 0.900), (2, 0.895)]], NONE, "")) == [1, 2]


def test_an_article_comes_in_one_language() -> None:
    found = {
        1: candidate(1, language="en", filename="grow.md"),
        2: candidate(2, language="sv", filename="grow.md"),
        3: candidate(3, language="sv", filename="sleep.md"),
        4: candidate(4, language="en", filename="grow.md"),
    }
    ranking = fuse(found, [[(1, 0.92), (2, 0.90), (4, 0.89), (3, 0.85)]], NONE)
    assert chunks(choose(ranking, 5, "sv")) == [2, 3]
    assert chunks(choose(ranking, 5, "en")) == [1, 4, 3]
    assert chunks(choose(ranking, 5, "ko")) == [1, 4, 3]


def test_a_far_worse_translation_does_not_replace_the_best_passage() -> None:
    found = {
        number: candidate(number, language="sv" if number == 4 else "en", filename="a.md") for number in (1, 2, 3, 4)
    }
    ranking = fuse(found, [[(1, 0.92), (2, 0.91), (3, 0.90), (4, 0.80)]], Hits(((1, 9.0), (2, 8.0)), 18.0))
    assert chunks(choose(ranking, 2, "sv")) == [1, 2]


def test_the_same_words_come_once() -> None:
    found = {1: candidate(1), 2: candidate(2, text=TEXTS[1] + "."), 3: candidate(3)}
    ranking = fuse(found, [[(1, 0.92), (2, 0.91), (3, 0.9)]], NONE)
    assert chunks(choose(ranking, 5)) == [1, 3]


def test_no_more_than_asked_for() -> None:
    found = {number: candidate(number) for number in TEXTS}
    assert len(choose(fuse(found, [[(number, 0.9) for number in TEXTS]], NONE), 2)) == 2


def neighbour(chunk: int, position: int, start: int, end: int, heading: str = "") -> Candidate:
    return Candidate(
        chunk, "one", 1, "Title", "a.md", "en", None, [heading], TEXTS[chunk], position, start, end, tokens=100
    )


def test_neighbours_under_one_heading_become_one_passage() -> None:
    found = {1: neighbour(1, 4, 100, 136), 2: neighbour(2, 3, 60, 98), 3: neighbour(3, 5, 137, 170, "Other")}
    ranking = fuse(found, [[(1, 0.9), (2, 0.88), (3, 0.8)]], NONE)
    chosen = choose(ranking, 3)
    assert chunks(chosen) == [1, 3]
    assert chosen[0].text == f"{TEXTS[2]}\n\n{TEXTS[1]}"
    assert chosen[0].scores["joined"] == 2
    assert [ranked.why for ranked in ranking] == ["", "joined", ""]


def test_every_candidate_says_why_it_was_not_chosen() -> None:
    found = {1: candidate(1), 2: candidate(2, text=TEXTS[1] + "."), 3: candidate(3), 4: candidate(4)}
    ranking = fuse(found, [[(1, 0.92), (2, 0.91), (3, 0.9), (4, 0.8)]], NONE)
    choose(ranking, 2)
    assert [ranked.why for ranked in ranking] == ["", "repeats", "", "place"]


def test_vectors_of_two_embedders_are_compared_within_their_own() -> None:
    found = {number: candidate(number) for number in TEXTS}
    ranking = fuse(found, [[(1, 0.9), (2, 0.7)], [(3, 0.3), (4, 0.1)]], NONE)
    assert [ranked.score for ranked in ranking] == [1.0, 1.0, 0.0, 0.0]


def test_what_is_far_behind_the_best_is_not_shown() -> None:
    best, near, far = (
        Passage(n, "d", "T", "", "x", score, {"fused": score}) for n, score in enumerate((2.5, 1.6, 1.4))
    )
    assert worth_showing([best, near, far]) == [best, near]
    assert worth_showing([far]) == [far]
    assert worth_showing([]) == []
