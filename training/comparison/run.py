"""A slice of a comparison: question after question both models answer, in turned order from one to the next, so that
both meet the same machine; each pair of answers is stored with what was measured of it, and is never asked again.

When all are asked, the judge (judge.py) chooses, if there is one; then the figures and the gates are made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from django.utils.translation import gettext as _

from llm.errors import LanguageModelError
from llm.loops import run as run_async
from llm.models import Price
from llm.prices import cost_of, price_of
from llm.providers import llamacpp_scores
from llm.registry import parse_models
from llm.types import ModelId
from training.models import AnswerPair, Comparison

from . import asking, claims, figures, gates, jobs, judge, measures, preference, questions
from .asking import Said
from .errors import ComparisonError, StillLoading
from .options import Options
from .promotions import check_model, serve
from .questions import Item

log = logging.getLogger(__name__)

SLICE_SECONDS = 45.0
# A big base from a slow disk takes its time; nobody waits before a screen.
LOAD_SECONDS = 180.0
LOOK_SECONDS = 5.0  # how soon a cancelled one lets go meanwhile
MOST_SILENT = 3  # questions in a row that one side did not answer: it will not answer the rest either


class Failed(Exception):
    """It cannot go on; one sentence for people."""


def run_slice(*, comparison_id: int, seconds: float = SLICE_SECONDS) -> bool:
    """Work for a while; True when it goes on in another slice."""
    comparison = jobs.claim(comparison_id)
    if comparison is None:
        return False
    try:
        return _run(comparison, seconds)
    except jobs.Left:
        return False
    except (Failed, ComparisonError) as error:
        jobs.fail(comparison, str(error))
    except Exception:
        log.exception("comparison %s failed", comparison.pk)
        jobs.fail(comparison, _("Something went wrong with it; look into the log and try again."))
    return False


def _run(comparison: Comparison, seconds: float) -> bool:
    until = time.monotonic() + seconds
    options = Options.from_json(comparison.options)
    check_model(comparison.candidate)
    for model in (comparison.candidate.model, comparison.live):
        _serve(comparison, model)
    todo = questions.items(
        dataset=comparison.dataset,
        held_out=options.held_out,
        suite=options.suite,
        languages=options.languages,
        seed=options.seed,
    )
    if not todo:
        raise Failed(_("There is no question left to ask; the held-out examples are gone."))
    judges = judge.configured() if options.judge else None
    work = _Work(comparison, options, len(todo), judges)
    asked = _asked(comparison)
    for at, item in enumerate(todo):
        if item.key not in asked:
            work.ask(item, candidate_first=at % 2 == 0)
            work.report()
            if time.monotonic() > until:
                return jobs.release(comparison)
    while judges and judge.choose_next(comparison, judges, cloud=options.cloud):
        work.report()
        if time.monotonic() > until:
            return jobs.release(comparison)
    finish(comparison, loss_left_out=_loss_left_out(comparison))
    return False


def _serve(comparison: Comparison, model: str) -> None:
    """Waits for an adapter that is being loaded. Raises jobs.Left, NotLoaded."""
    until = time.monotonic() + LOAD_SECONDS
    while True:
        try:
            return serve(model, seconds=LOOK_SECONDS)
        except StillLoading:
            if time.monotonic() > until:
                raise
        jobs.progress(comparison, done=comparison.done, total=comparison.total)


class _Work:
    """The two models of a comparison, and how far it is."""

    def __init__(self, comparison: Comparison, options: Options, items: int, judges: ModelId | None) -> None:
        self._comparison, self._options = comparison, options
        self._models = (_one(comparison.candidate.model), _one(comparison.live))
        self._prices = list(Price.objects.all())
        self._scored = not _loss_left_out(comparison)
        self._total = items * (2 if judges else 1)
        self._silent = [0, 0]
        self._warm: set[str] = set()
        self.report()

    def report(self) -> None:
        """Progress; raises jobs.Left when it was cancelled or another worker has it."""
        pairs = self._comparison.pairs
        done = pairs.count() + (judge.judged(self._comparison) if self._total else 0)
        jobs.progress(self._comparison, done=min(done, self._total), total=self._total)

    def ask(self, item: Item, *, candidate_first: bool) -> None:
        self._warm_up(item)
        said: list[Said] = [Said(), Said()]
        for side in (0, 1) if candidate_first else (1, 0):
            call = asking.ask(self._models[side], item, answer_tokens=self._options.answer_tokens)
            said[side] = run_async(call)
            self._count(side, said[side])
            self.report()
        first, second = (self._measured(side, item, said[side]) for side in (0, 1))
        AnswerPair.objects.create(
            comparison=self._comparison,
            language=item.language,
            prompt=[{"role": message.role, "content": message.content} for message in item.messages],
            question=item.question,
            first=str(self._models[0]),
            second=str(self._models[1]),
            first_answer=said[0].text,
            second_answer=said[1].text,
            figures={"key": item.key, "kind": item.kind, "first": first, "second": second},
            swapped=Random(f"{self._comparison.pk} {item.key}").random() < 0.5,  # noqa: S311 - only which one is left
        )

    def _warm_up(self, item: Item) -> None:
        if item.language not in self._warm:
            self._warm.add(item.language)
            for model in self._models:
                run_async(asking.warm(model, item))
                self.report()

    def _count(self, side: int, said: Said) -> None:
        self._silent[side] = self._silent[side] + 1 if said.error else 0
        if self._silent[side] >= MOST_SILENT:
            raise Failed(
                _("%(model)s did not answer: %(reason)s") % {"model": self._models[side], "reason": said.error}
            )

    def _measured(self, side: int, item: Item, said: Said) -> dict[str, Any]:
        model = self._models[side]
        cost = cost_of(said.usage, said.place, price_of(str(model), self._prices))
        found = measures.of(item, said, quoting=model.provider == "guided", cost=cost)
        if item.reference and self._scored:
            found |= _loss(model, item)
        return found


def _loss(model: ModelId, item: Item) -> dict[str, Any]:
    try:
        found = llamacpp_scores.score(model, item.messages, item.reference)
    except LanguageModelError as error:
        log.warning("the loss of %s on %s could not be measured: %s", model, item.key, error)
        return {}
    return {"loss": {"nats": round(found.nats, 4), "tokens": found.tokens}} if found else {}


def finish(comparison: Comparison, *, loss_left_out: str = "") -> None:
    """Figures and gates from what is stored."""
    pairs = list(comparison.pairs.values_list("figures", "language"))
    sides = [(one["first"], one["second"]) for one, _language in pairs]
    found = figures.of(sides, loss_left_out=loss_left_out)
    found |= preference.measured(comparison)
    found["languages"] = {
        code: figures.of([(one["first"], one["second"]) for one, language in pairs if language == code])
        for code in sorted({language for _one, language in pairs})
    }
    found["missed_crises"] = claims.missed_crises()
    judged = gates.judge(found)
    jobs.finish(comparison, figures=found, gates=judged, passed=gates.passed(judged))


def _asked(comparison: Comparison) -> set[str]:
    return set(comparison.pairs.values_list("figures__key", flat=True))


def _loss_left_out(comparison: Comparison) -> str:
    """Why held-out loss is not measured (a key of selectors.WHY), '' when it is."""
    if comparison.dataset is None:
        return "no_examples"
    models: Sequence[ModelId] = [_one(comparison.candidate.model), _one(comparison.live)]
    can: Callable[[ModelId], bool] = llamacpp_scores.can_score
    return "" if all(can(model) for model in models) else "no_probabilities"


def _one(text: str) -> ModelId:
    return parse_models(text)[0]
