"""No number without a source is ever shown, however the stream is cut."""

from hypothesis import given
from hypothesis import strategies as st

from coach.grounding import CitationFilter, check
from coach.prompting import NumberedSource

GROW = NumberedSource(
    1,
    "The GROW model",
    "Whitmore describes four steps: goal, reality, options and will. Each step is a set of open questions.",
)
REST = NumberedSource(
    2, "Stress and recovery", "Recovery needs psychological detachment from work in the evening, and sleep."
)


def filtered(pieces: list[str], allowed: set[int]) -> str:
    citations = CitationFilter(allowed)
    return "".join(citations.feed(piece) for piece in pieces) + citations.flush()


def test_a_number_without_a_source_disappears() -> None:
    assert filtered(["Set a goal [1] today [7]."], {1, 2}) == "Set a goal [1] today."


def test_several_numbers_in_one_bracket_become_several_citations() -> None:
    assert filtered(["So it is [1, 2; 9]."], {1, 2}) == "So it is [1][2]."


def test_brackets_that_are_no_citations_stay() -> None:
    text = "A [link](https://example.org), a list [x] and [note 1] stay."
    assert filtered([text], {1}) == text


@given(
    st.lists(st.sampled_from(["[", "]", "1", "2", "12", ", ", "word", " ", "\n", "[1]", "[9]", "【2】"]), max_size=30)
)
def test_the_cut_of_the_stream_changes_nothing(pieces: list[str]) -> None:
    whole = filtered(["".join(pieces)], {1, 2})
    assert filtered(pieces, {1, 2}) == whole
    assert "[9]" not in whole
    assert "[12]" not in whole


def test_a_sentence_that_repeats_a_source_gets_its_number() -> None:
    answer = "Whitmore describes four steps: goal, reality, options and will. What is your goal?"
    result = check(answer, [GROW, REST])
    assert result.answer == "Whitmore describes four steps: goal, reality, options and will [1]. What is your goal?"
    assert result.citations == (1,)


def test_a_sentence_of_its_own_gets_none() -> None:
    result = check("It sounds as if this week was heavy for you and your colleagues.", [GROW, REST])
    assert result.citations == ()
    assert "[" not in result.answer


def test_citations_are_listed_once_in_order_of_use() -> None:
    result = check("Rest well [2]. Then set a goal [1] and rest again [2]. Ghost [5].", [GROW, REST])
    assert result.citations == (2, 1)
    assert "[5]" not in result.answer


def test_the_number_of_a_list_item_is_no_sentence_of_its_own() -> None:
    answer = "1. Whitmore describes four steps: goal, reality, options and will."
    assert (
        check(answer, [GROW, REST]).answer == "1. Whitmore describes four steps: goal, reality, options and will [1]."
    )


def test_quotations_are_left_alone_on_request() -> None:
    answer = "Whitmore describes four steps: goal, reality, options and will."
    assert check(answer, [GROW], complete=False).answer == answer


def test_a_number_at_the_wrong_source_moves_to_the_right_one() -> None:
    wrong = "Recovery needs psychological detachment from work in the evening [1]."
    assert check(wrong, [GROW, REST]).answer == "Recovery needs psychological detachment from work in the evening [2]."


def test_a_number_stays_where_no_other_source_says_more() -> None:
    for kept in ("Vila gör gott efter en lång dag på jobbet [1].", "Whitmore describes four steps: goal and will [1]."):
        assert check(kept, [GROW, REST]).answer == kept


def test_a_sentence_that_no_source_supports_loses_its_number_and_is_marked() -> None:
    answer = (
        "Whitmore describes four steps: goal, reality, options and will [1]. "
        "He was born in Canterbury as the son of a shoemaker [1]. What is your goal?"
    )
    result = check(answer, [GROW, REST], question="What is the GROW model?")
    assert result.answer == (
        "Whitmore describes four steps: goal, reality, options and will [1]. "
        "He was born in Canterbury as the son of a shoemaker. What is your goal?"
    )
    [(start, end)] = result.unsupported
    assert result.answer[start:end] == "He was born in Canterbury as the son of a shoemaker."
    assert result.citations == (1,)


def test_a_short_answer_in_the_words_of_the_question_is_supported_by_its_news() -> None:
    asked = "Which four steps has the model that people use so often in coaching talks?"
    answer = (
        "The steps of that model that people so often use in coaching talks are goal, reality, options and will [1]."
    )
    assert check(answer, [GROW], question=asked).unsupported == ()


def test_the_mark_begins_behind_the_marks_of_a_list() -> None:
    answer = "Two things:\n\n- **Moonlight** makes the strawberries ripen over night.\n2. Reality, options and will."
    result = check(answer, [GROW])
    assert [answer[start:end] for start, end in result.unsupported] == [
        "Moonlight** makes the strawberries ripen over night."
    ]


def test_what_cannot_be_compared_is_not_marked() -> None:
    """Words say nothing across languages; quotations of guided mode are what they are."""
    swedish = "Hon föddes i en liten stad vid kusten och blev skomakare som sin far."
    assert check(swedish, [GROW], language="sv").unsupported == ()
    invented = "He was born in Canterbury as the son of a shoemaker."
    assert check(invented, [GROW], complete=False).unsupported == ()
    assert check(invented, []).unsupported == ()
