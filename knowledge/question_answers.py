"""Questions and answers that a language model proposes for each passage of documents; a person approves them.

A proposal is kept only when its words stand in the passage: a small model likes to know better. What is approved
becomes an extra entry of the index that leads to its passage (question_review.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from llm.types import Account, ChatRequest, Message

from . import ask_model
from .generations import live_indexes
from .jobs import NOTHING_INDEXED, JobFailed, Slice
from .models import Chunk, Document, QuestionAnswer
from .passage_words import content_words, grams, numbers, shared, supported

LEAST_CHARACTERS = 80  # a heading alone answers nothing; Hangul says in 80 what English says in 200
CHARACTERS_EACH, MOST_EACH = 350, 3
MOST_PASSAGE = 6000
MOST_TOKENS = 700
# Of the answer's content words, and of the question's: a question may use words of its own.
ANSWER_SUPPORT, QUESTION_SUPPORT = 0.8, 0.3
SAME_QUESTION = 0.8
SHORTEST, LONGEST_QUESTION, LONGEST_ANSWER = 8, 300, 1500
LANGUAGES = {"en": "English", "sv": "Swedish", "nb": "Norwegian (bokmål)", "ko": "Korean"}
# A question about "the text" finds nothing: nobody who asks has it before them.
POINTING = (
    *("the text", "the passage", "this text", "this passage", "the document", "the article", "the author"),
    *("texten", "stycket", "avsnittet", "dokumentet", "artikeln", "författaren"),
    *("teksten", "dokumentet", "artikkelen", "forfatteren"),
    *("본문", "지문", "이 글", "위 글", "이 문서", "저자"),
)
# A small model writes a Korean statement and puts a question mark behind it.
STATEMENTS = ("니다?", "이다?", "니다？", "이다？")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "maxItems": MOST_EACH,
            "items": {
                "type": "object",
                "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
                "required": ["question", "answer"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
SYSTEM = (
    "You write questions that people ask and that a passage answers. "
    "Each question stands alone: it names its subject and never speaks of a text, passage, document or author. "
    "Each answer is one or two sentences in the words of the passage, and adds nothing."
)
TASK = (
    "Passage from “{title}”:\n\n{passage}\n\n"
    "Write {n} different questions in {language} that this passage answers, each with its answer in {language}."
)


def write(job: Slice) -> None:
    """Propose for the passages of the job's documents, one after the other."""
    live = next(iter(live_indexes([job.job.base_id])), None)
    if live is None:
        raise JobFailed("empty", NOTHING_INDEXED)
    wanted = Document.objects.filter(base=job.job.base_id, pk__in=job.job.options["documents"])
    chunks = Chunk.objects.filter(splitting=live.splitting, document__in=wanted.values("pk"))
    ids = list(chunks.order_by("document_id", "position").values_list("pk", flat=True))
    if not ids:
        raise JobFailed("empty", NOTHING_INDEXED)
    last = job.job.cursor.get("after")
    done = ids.index(last) + 1 if last in ids else 0
    cloud = bool(job.job.options.get("cloud"))
    asked = ask_model.models(cloud=cloud)
    for at in range(done, len(ids)):
        chunk = Chunk.objects.select_related("document").get(pk=ids[at])
        proposed, refused, model = _proposals(job, chunk, asked, cloud)
        with transaction.atomic():
            job.save({"after": chunk.pk}, done=at + 1, total=len(ids), found=len(proposed), refused=refused)
            QuestionAnswer.objects.bulk_create(
                QuestionAnswer(
                    document=chunk.document,
                    start=chunk.start,
                    end=chunk.end,
                    question=question,
                    answer=answer,
                    language=chunk.document.language,
                    model=model[:200],
                )
                for question, answer in proposed
            )
        if at + 1 < len(ids):
            job.pause()


# --- one passage ---------------------------------------------------------------------------------


def _proposals(job: Slice, chunk: Chunk, asked: Sequence[Any], cloud: bool) -> tuple[list[tuple[str, str]], int, str]:
    """(question, answer) of those that hold, how many did not, and who was asked."""
    others = list(QuestionAnswer.objects.filter(document=chunk.document_id).values_list("question", "start", "end"))
    has_some = any(start < chunk.end and end > chunk.start for _, start, end in others)
    if has_some or len(chunk.text.strip()) < LEAST_CHARACTERS:
        return [], 0, ""
    request = _request(chunk, cloud)
    found, model = ask_model.ask(job, request, SCHEMA, asked)
    if found is None:
        return [], 1, model
    kept: list[tuple[str, str]] = []
    taken = [grams(question) for question, _, _ in others]
    for pair in found["pairs"]:
        question, answer = " ".join(pair["question"].split()), " ".join(pair["answer"].split())
        own = grams(question)
        if holds(question, answer, chunk.text) and not any(shared(own, other) >= SAME_QUESTION for other in taken):
            kept.append((question, answer))
            taken.append(own)
    return kept, len(found["pairs"]) - len(kept), model


def _request(chunk: Chunk, cloud: bool) -> ChatRequest:
    language = chunk.document.language
    count = max(1, min(MOST_EACH, len(chunk.text) // CHARACTERS_EACH))
    heading = " › ".join([chunk.document.title, *chunk.headings])
    task = TASK.format(
        title=heading,
        passage=chunk.text[:MOST_PASSAGE],
        n=count,
        language=LANGUAGES.get(language, "the language of the passage"),
    )
    return ChatRequest(
        messages=[Message("system", SYSTEM), Message("user", task)],
        max_tokens=MOST_TOKENS,
        temperature=0.2,
        private=not cloud,
        language=language or "en",
        account=Account(purpose="questions"),
    )


def holds(question: str, answer: str, passage: str) -> bool:
    """Is this a question that stands alone, and do the words and numbers of the answer stand in the passage?"""
    low = question.lower()
    return (
        SHORTEST <= len(question) <= LONGEST_QUESTION
        and SHORTEST <= len(answer) <= LONGEST_ANSWER
        and low.endswith(("?", "？"))
        and not low.endswith(STATEMENTS)
        and not any(words in low for words in POINTING)
        and bool(content_words(question))
        and numbers(answer) <= numbers(passage)
        and supported(answer, passage) >= ANSWER_SUPPORT
        and supported(question, passage) >= QUESTION_SUPPORT
    )
