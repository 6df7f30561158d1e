"""Which passages a turn may cite, the numbers they have in the conversation, and which of them its prompt shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from knowledge.types import Passage
from llm.tokens import estimate_tokens, prompt_tokens
from llm.types import Message

from . import prompting
from .draft import Draft, shown
from .selectors import KnownSource, TurnContext
from .services import NewSource

EXCERPT_LEAST = 45  # tokens


def number_sources(context: TurnContext, draft: Draft, passages: Sequence[Passage], budget: int) -> None:
    """Give each passage its number in the conversation; cut the new ones into the budget of fresh tokens.

    An answer that is written again gets the sources of the one before, if they are still the first that are found:
    two answers to the same prompt can be compared.
    """
    known = {source.chunk: source for source in context.sources if source.chunk is not None}
    beside = _beside(context, passages, known)
    last = max((source.n for source in context.sources), default=0)
    bare = prompting.user_text(
        question=context.question,
        language=context.language,
        grounded=True,
        sources=[prompting.NumberedSource(last + 1, "", "")],
    )
    left = max(budget - prompt_tokens([Message("user", bare)]), EXCERPT_LEAST)
    before = _on_path(context)
    fresh = sum(passage.chunk not in known or known[passage.chunk].n not in before for passage in passages)
    for passage in beside or passages:
        source = known.get(passage.chunk)
        if source is None or (source.n not in before and not beside):
            if left < EXCERPT_LEAST:
                continue
            if source is None:
                share = max(left // max(fresh, 1), EXCERPT_LEAST)
                cut = prompting.excerpt(passage.text, question=context.question, tokens=share)
                last += 1
                new = NewSource(
                    last, passage.chunk, passage.document, passage.title, passage.location, passage.text, cut
                )
                source = KnownSource(**asdict(new))
                draft.new.append(new)
            left -= estimate_tokens(f"[{source.n}] {source.excerpt}")
            fresh -= 1
        draft.sources.append(source)
        draft.scores[source.n] = round(passage.score, 4)


def newly_shown(context: TurnContext, draft: Draft) -> tuple[prompting.NumberedSource, ...]:
    """The sources that no turn before has shown, in their order: as `selectors` will show this turn later on."""
    before = _on_path(context)
    return tuple(shown(source) for source in draft.sources if source.n not in before)


def _on_path(context: TurnContext) -> frozenset[int]:
    return frozenset(source.n for turn in context.past for source in turn.sources)


def _beside(context: TurnContext, passages: Sequence[Passage], known: Mapping[int, KnownSource]) -> Sequence[Passage]:
    """The passages of the answer before, in its order; none when others come before them now."""
    order = context.sibling_sources
    first = {known[one.chunk].n: one for one in passages[: len(order)] if one.chunk in known}
    return [first[n] for n in order] if set(first) == set(order) else []
