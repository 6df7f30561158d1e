"""Passages of a document: what holds for any text, and where the cuts are."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from knowledge.loaders.types import LoadedDocument, TextBuilder
from knowledge.splitting import LONGEST_WORD, MAX_TOKENS, split

WORDS = st.text(alphabet="abcåäöæø가나다.!? 1", min_size=1, max_size=30)
PARAGRAPH = st.lists(WORDS, min_size=1, max_size=60).map(" ".join)


def count(text: str) -> int:
    """A tokenizer of sorts: two marks, and a token for each four characters of a word."""
    return 2 + sum(-(-len(word) // 4) for word in text.split())


def document(*parts: str) -> LoadedDocument:
    """'# …' is a heading of level 2."""
    builder = TextBuilder()
    for part in parts:
        if part.startswith("# "):
            builder.heading(2, part[2:])
        else:
            builder.add(part)
    return builder.finish()


@given(st.lists(st.tuples(st.booleans(), PARAGRAPH), min_size=1, max_size=8))
def test_what_holds_for_any_text(parts: list[tuple[bool, str]]) -> None:
    builder = TextBuilder()
    for is_heading, text in parts:
        builder.heading(2, text[:40]) if is_heading else builder.add(text)
    builder.add("An end.")
    whole = builder.finish()
    drafts = split(whole, count)
    last = 0
    for draft in drafts:
        assert whole.text[draft.start : draft.end] == draft.text
        assert draft.text == draft.text.strip() != ""
        assert draft.start >= last
        assert draft.tokens == count(draft.text)
        assert draft.tokens <= 1.5 * MAX_TOKENS
        last = draft.end
        before, after = whole.text[: draft.start][-1:], whole.text[draft.end :][:1]
        assert not before.strip() or len(max(re.findall(r"\S+", whole.text), key=len)) > LONGEST_WORD
        assert not after.strip() or len(max(re.findall(r"\S+", whole.text), key=len)) > LONGEST_WORD
    in_blocks = "".join(whole.text[block.start : block.end] for block in whole.blocks)
    assert re.sub(r"\s", "", "".join(draft.text for draft in drafts)) == re.sub(r"\s", "", in_blocks)


def test_a_short_section_is_one_passage_with_its_headings() -> None:
    drafts = split(document("# One", "Text of one.", "# Two", "Text of two."), count)
    assert [(draft.headings, draft.text) for draft in drafts] == [
        (("One",), "Text of one."),
        (("Two",), "Text of two."),
    ]


def test_a_long_section_is_cut_at_sentences_into_equal_parts() -> None:
    sentence = "This is a sentence of ten words or thereabouts, dear. "
    drafts = split(document(sentence * 30), count)
    assert len(drafts) == 3
    assert all(draft.text.endswith("dear.") for draft in drafts)
    assert max(draft.tokens for draft in drafts) < 1.3 * min(draft.tokens for draft in drafts)


def test_a_paragraph_end_is_preferred() -> None:
    first, second = "One word after the other. " * 22, "Another word after that one. " * 22
    drafts = split(document(first, second), count)
    assert [draft.text for draft in drafts] == [first.strip(), second.strip()]


def test_korean_sentences() -> None:
    sentence = "코칭은 상대가 스스로 답을 찾도록 돕는 대화입니다. 질문을 먼저 해 보세요! "
    drafts = split(document(sentence * 30), lambda text: len(text) + 2)
    assert len(drafts) > 5
    assert all(draft.text.endswith((".", "!")) for draft in drafts)


def test_an_abbreviation_ends_no_sentence() -> None:
    text = ("Detta gäller t.ex. Anna och bl.a. Bo med flera. " * 40).strip()
    drafts = split(document(text), count)
    assert all(draft.text.endswith("flera.") for draft in drafts)


def test_one_endless_word_is_cut_all_the_same() -> None:
    drafts = split(document("x" * 5000), count)
    assert "".join(draft.text for draft in drafts) == "x" * 5000
    assert max(draft.tokens for draft in drafts) <= MAX_TOKENS


def test_a_list_of_references_is_no_passage() -> None:
    whole = document("# Part", "Text.", "# Källor", "- Whitmore (2017)")
    assert [draft.text for draft in split(whole, count)] == ["Text."]
    assert "Whitmore" in whole.text


def test_a_document_of_references_alone_is_kept() -> None:
    assert [draft.text for draft in split(document("# Sources", "Whitmore (2017)"), count)] == ["Whitmore (2017)"]


def test_the_last_lines_of_a_page_join_the_page_before() -> None:
    builder = TextBuilder()
    builder.add("A page of text. " * 40, page=1)
    builder.add("A last line.", page=2)
    drafts = split(builder.finish(), count)
    assert [draft.page for draft in drafts] == [1]
    assert drafts[0].text.endswith("A last line.")
