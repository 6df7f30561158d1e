"""Where "covered" begins."""

from __future__ import annotations

from knowledge.coverage import COSINES, asks_for_fact, covered, from_off_topic, off_topic, thresholds
from knowledge.lexical import Hits
from knowledge.types import LiveIndex

E5 = "e5-small"
NEAR, FAIRLY = COSINES[E5]
LIVE = [LiveIndex(1, 1, 1, E5, "kb1")]
QUESTION = "How do implementation intentions help against procrastination?"


def dense(cosine: float) -> dict[str, list[tuple[int, float]]]:
    return {E5: [(7, cosine), (8, cosine - 0.05)]}


def test_near_is_covered_and_far_is_not() -> None:
    assert covered(QUESTION, LIVE, dense(NEAR + 0.01), Hits())
    assert not covered(QUESTION, LIVE, dense(NEAR - 0.01), Hits())


def test_fairly_near_needs_the_words() -> None:
    most, few = Hits(((7, 30.0),), 40.0), Hits(((7, 10.0),), 40.0)
    assert covered(QUESTION, LIVE, dense(FAIRLY + 0.01), most)
    assert not covered(QUESTION, LIVE, dense(FAIRLY + 0.01), few)
    assert not covered(QUESTION, LIVE, dense(FAIRLY - 0.01), most)


def test_a_question_of_fact_needs_more_of_its_words_the_farther_the_passage_is() -> None:
    most, half, few = (Hits(((7, share * 40.0),), 40.0) for share in (0.75, 0.5, 0.25))
    for fact in (
        "Which year was the Eiffel Tower opened?",
        "Hur många invånare har Göteborg idag?",
        "한글은 어느 시대에 누가 처음 만들었습니까?",
    ):
        assert covered(fact, LIVE, dense(NEAR + 0.01), most), fact
        assert not covered(fact, LIVE, dense(NEAR + 0.01), half), fact
        assert covered(fact, LIVE, dense(NEAR + 0.1), half), fact
        assert not covered(fact, LIVE, dense(NEAR + 0.1), few), fact
        assert covered(fact, LIVE, dense(NEAR + 0.25), few), fact


def test_a_passage_in_another_language_cannot_have_the_words() -> None:
    fact = "Vad är GROW-modellen?"
    assert not covered(fact, LIVE, dense(NEAR + 0.1), Hits())
    assert covered(fact, LIVE, dense(NEAR + 0.1), Hits(), crossed={7})
    assert not covered(fact, LIVE, dense(NEAR + 0.05), Hits(), crossed={7})
    assert not covered(fact, LIVE, dense(NEAR + 0.1), Hits(), crossed={8})


def test_what_is_known_about_a_subject_is_no_question_of_fact() -> None:
    for text in (
        "What do researchers say about motivation?",
        "Vilka misstag är vanliga?",
        "Hva sier forskningen om søvn?",
        "연구자들은 동기에 대해 무엇이라고 하나요?",
    ):
        assert not asks_for_fact(text), text
        assert covered(text, LIVE, dense(NEAR + 0.01), Hits()), text
    assert asks_for_fact("Who wrote the Gettysburg address?")


def test_words_alone_without_vectors() -> None:
    assert covered(QUESTION, LIVE, {}, Hits(((7, 30.0),), 40.0))
    assert not covered(QUESTION, LIVE, {}, Hits(((7, 10.0),), 40.0))


def test_small_talk_is_never_covered() -> None:
    for text in ("Hvordan går det?", "Hur mår du?", "How are you?", "안녕하세요", "잘 지내셨어요?"):
        assert not covered(text, LIVE, dense(0.99), Hits(((7, 30.0),), 40.0)), text


def test_calibrated_thresholds_count() -> None:
    index = LiveIndex(1, 1, 1, E5, "kb1", {"near": 0.7, "fairly": 0.6})
    assert not covered(QUESTION, [index], dense(0.68), Hits())
    assert thresholds(E5, [index.coverage, {}]) == (0.7, 0.6)


def test_a_calibration_follows_the_off_topic_questions_within_bounds() -> None:
    assert sorted(off_topic()) == ["en", "ko", "nb", "sv"]
    assert len({len(questions) for questions in off_topic().values()}) == 1
    other = from_off_topic("ollama:some", [0.1, 0.2, 0.3, 0.4])
    assert 0.38 < other["near"] < 0.4 and 0.2 <= other["fairly"] < 0.25
    assert from_off_topic(E5, [0.9] * 10)["near"] <= NEAR + 0.05, "a base about taps covers taps"
    assert from_off_topic(E5, []) == {}
