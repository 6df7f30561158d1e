"""Answers from given passages, through the turn that coachees get: search, prompt, language model, citations.

The contexts of a case are a knowledge base of their own (workspace.py), so what another case brings cannot answer
it; what is rare is counted over all of them, as in a real base. A case costs one call of the language model.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from coach.language import detect_language
from coach.models import Turn
from coach.selectors import TurnContext
from coach.services import Outcome
from coach.turn import run_turn
from knowledge.embedding.types import Embedder

from . import wording
from .datasets import Case
from .vectors import CachedVectors, Progress
from .workspace import Workspace, cut

COACH = "evaluation"


@dataclass(frozen=True, slots=True)
class Answered:
    """What the coach made of a case; a line of the file of answers.

    cited       context ids by citation, in order; a context cited twice counts once
    phantom     numbers in the answer that no source of the turn has
    shown       context ids of the sources that the model was given
    sources     what it was shown of them
    """

    id: str
    set: str
    language: str
    question: str
    answerable: bool
    gold: str
    expected: Sequence[str]
    answer: str
    covered: bool
    abstained: bool
    cited: Sequence[str]
    phantom: Sequence[int]
    shown: Sequence[str]
    sources: Mapping[str, str]
    model: str
    state: str
    seconds: float
    first_token: float | None = None
    notices: Sequence[str] = field(default_factory=tuple)


def sample(cases: Sequence[Case], limit: int | None, seed: int) -> list[Case]:
    """At most `limit`, as many of each set, language and answerability as can be; in the order of the files."""
    if limit is None or limit >= len(cases):
        return list(cases)
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for at, case in enumerate(cases):
        groups.setdefault((case.set, case.language, case.answerable), []).append(at)
    random = Random(seed)  # noqa: S311 - a sample, no secret
    for group in groups.values():
        random.shuffle(group)
    chosen: list[int] = []
    while len(chosen) < limit:
        chosen.extend(group.pop() for group in groups.values() if group)
    return [cases[at] for at in sorted(chosen[:limit])]


def read_answered(path: Path) -> list[Answered]:
    """What an earlier run has written; a line that broke off with it is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(Answered(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def write_answered(path: Path, answered: Answered) -> None:
    text = json.dumps(asdict(answered), ensure_ascii=False)
    with path.open("a+b") as file:
        file.seek(0, 2)
        if file.tell():
            file.seek(-1, 2)
            broken = file.read(1) != b"\n"
            file.write(b"\n" if broken else b"")
        file.write(text.encode() + b"\n")


def index_cases(
    store: Workspace, cases: Sequence[Case], embedder: Embedder, progress: Progress = lambda done, total: None
) -> dict[str, int]:
    """A base for each case; case id → its number."""
    vectors = CachedVectors(embedder)
    pieces = [cut(case.contexts, embedder) for case in cases]
    flat = list(dict.fromkeys(piece.indexed for some in pieces for piece in some))
    places = {text: at for at, text in enumerate(flat)}
    made = vectors.passages(flat, progress)
    return {
        _key(case): store.add(some, made[[places[piece.indexed] for piece in some]])
        for case, some in zip(cases, pieces, strict=True)
        if some
    }


async def answer_cases(
    store: Workspace,
    bases: Mapping[str, int],
    cases: Sequence[Case],
    *,
    models: str = "",
    mode: str = "personal",
    parallel: int = 1,
    shown: Callable[[Answered], None] = lambda _answered: None,
) -> AsyncIterator[Answered]:
    """Each case as it is answered. models: as of a coach, '' for the installation's."""
    gate = asyncio.Semaphore(parallel)

    async def one(case: Case) -> Answered:
        async with gate:
            return await _answer(store, bases.get(_key(case)), case, models, mode)

    tasks = [asyncio.ensure_future(one(case)) for case in cases]
    try:
        for done in asyncio.as_completed(tasks):
            answered = await done
            shown(answered)
            yield answered
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(store: Workspace, base: int | None, case: Case, models: str, mode: str) -> Answered:
    language = case.language or detect_language(case.question, "en")
    context = TurnContext(
        turn=uuid.uuid4(),
        conversation=uuid.uuid4(),
        position=1,
        question=case.question,
        language=language,
        coach=COACH,
        mode=mode,
        coach_prompt="",
        language_models=models,
        bases=() if base is None else (base,),
        past=(),
        sources=(),
        sources_from=0,
        stop_requested=False,
    )
    started = time.perf_counter()
    outcome = await run_turn(context, _nobody_listens)
    return _answered(store, case, language, outcome, time.perf_counter() - started)


async def _nobody_listens(_type: str, _data: dict[str, Any]) -> None:
    return


def _answered(store: Workspace, case: Case, language: str, outcome: Outcome, seconds: float) -> Answered:
    context_of = {new.n: store.document_of(new.document) for new in outcome.new_sources}
    cited = [context_of[n] for n in outcome.citations if n in context_of]
    marks = wording.citation_numbers(outcome.answer)
    return Answered(
        id=case.id,
        set=case.set,
        language=language,
        question=case.question,
        answerable=case.answerable,
        gold=case.gold,
        expected=list(case.answers),
        answer=outcome.answer,
        covered=outcome.grounded,
        abstained=outcome.state == Turn.State.DONE and _abstains(outcome, language),
        cited=list(dict.fromkeys(cited)),
        phantom=[n for n in marks if n not in context_of],
        shown=list(dict.fromkeys(context_of.values())),
        sources={f"{new.n} {context_of[new.n]}": new.excerpt for new in outcome.new_sources},
        model=outcome.model,
        state=str(outcome.state),
        seconds=round(seconds, 3),
        first_token=(outcome.timings or {}).get("first_token"),
        notices=[str(notice["code"]) for notice in outcome.notices],
    )


def _abstains(outcome: Outcome, language: str) -> bool:
    """Guided mode quotes and never says so itself; the grounding check says it of an answer that nothing supports."""
    if outcome.model == "guided":
        return not outcome.grounded
    return wording.abstains(outcome.answer, language) or any(told["code"] == "unsupported" for told in outcome.notices)


def _key(case: Case) -> str:
    return f"{case.set}/{case.id}"
