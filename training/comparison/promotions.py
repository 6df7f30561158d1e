"""What is live: promote a tuned model, widen a canary, roll back; every step stays in the history.

    promote(share < 100) ─► canary ─ widen ─► canary ─ widen(100) ─► whole ─ roll_back ─► what was whole before it
                              └─ roll_back ─► nothing of it is left          └─► else the order of models alone

A promotion stands in front of the models that were there (llm/live_order.py), so they stay its fallback. Each turn
that begins after a step follows it; a turn that runs finishes on its own models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from coach.models import Coach
from llm import adapters, live_order
from llm.embedded import adapter_name
from llm.endpoints import checked_models
from llm.errors import ModelUnavailable, UnknownModel
from llm.types import ModelId
from training.models import Comparison, Promotion, TunedModel

from .errors import (
    AlreadyLive,
    BadOptions,
    GateFailed,
    ModelGone,
    NotCompared,
    NotLive,
    NotLoaded,
    StaleModel,
    StillLoading,
    WrongModel,
)
from .gates import sentences_of
from .preference import refresh

WHOLE = live_order.WHOLE
LOAD_SECONDS = 20.0


def promote(
    *,
    candidate: TunedModel,
    coach: Coach | None = None,
    share: int = WHOLE,
    comparison: Comparison | None = None,
    by: User | None = None,
    overridden: str = "",
) -> Promotion:
    """Put a tuned model in front, for one coach or all (None), for `share` percent of the conversations.

    comparison: the one it was judged by; its newest finished one when None. `overridden`: why, although a gate said
    no or nobody compared it. Raises StaleModel, ModelGone, WrongModel, NotLoaded, NotCompared,
    GateFailed, BadOptions, AlreadyLive.
    """
    if not 1 <= share <= WHOLE:
        raise BadOptions(_share_sentence())
    check_model(candidate)
    judged = comparison or newest_comparison(candidate)
    reason = overridden.strip()[:300]
    if judged is not None:
        refresh(judged)
    needed = _refused(candidate, judged)
    if needed is not None and not reason:
        raise needed
    serve(candidate.model, seconds=LOAD_SECONDS)
    with transaction.atomic():
        open_ones = list(_open(coach))
        if any(row.model_id == candidate.pk and row.share == WHOLE for row in open_ones):
            raise AlreadyLive(candidate)
        made = _start(candidate, coach, share, judged, by, reason if needed is not None else "")
        _end([row for row in open_ones if share == WHOLE or row.share < WHOLE], made, by)
    live_order.forget()
    return made


def widen(*, promotion: Promotion, share: int, by: User | None = None) -> Promotion:
    """The same model for another share of the conversations; those it has already stay its own when it grows.

    Raises NotLive, StaleModel, ModelGone, BadOptions.
    """
    if not 1 <= share <= WHOLE or promotion.share == WHOLE:
        raise BadOptions(_share_sentence())
    check_model(promotion.model)
    serve(promotion.model.model, seconds=LOAD_SECONDS)
    with transaction.atomic():
        if not Promotion.objects.select_for_update().filter(pk=promotion.pk, ended=None).exists():
            raise NotLive
        open_ones = list(_open(promotion.coach))
        made = _start(promotion.model, promotion.coach, share, promotion.comparison, by, promotion.overridden)
        _end([row for row in open_ones if share == WHOLE or row.share < WHOLE], made, by)
    live_order.forget()
    return made


def roll_back(*, promotion: Promotion, by: User | None = None) -> Promotion | None:
    """Take it back at once. Gives the promotion that is live again in its place, None when the order is.

    What it replaced comes back only if that still exists and everybody in its data still consents. Raises NotLive.
    """
    with transaction.atomic():
        rows = Promotion.objects.filter(pk=promotion.pk, ended=None)
        if not rows.update(ended=timezone.now(), ended_by=by):
            raise NotLive
        live_order.take_back(models=promotion.model.model, coach=_slug(promotion.coach))
        before = _before(promotion)
        again = _start(before.model, before.coach, WHOLE, before.comparison, by, before.overridden) if before else None
    live_order.forget()
    if again:
        with contextlib.suppress(NotLoaded):  # until it is served, what is behind it answers
            serve(again.model.model)
    return again


def live(coach: Coach | None = None) -> list[Promotion]:
    """What is live for this coach by name, or for all (None); whole before canary."""
    return list(Promotion.objects.filter(ended=None, coach=coach).select_related("model", "coach").order_by("-share"))


def history() -> list[Promotion]:
    """Newest first."""
    related = ("model", "coach", "started_by", "ended_by", "comparison")
    return list(Promotion.objects.select_related(*related).order_by("-started", "-pk"))


def newest_comparison(candidate: TunedModel) -> Comparison | None:
    return candidate.comparisons.filter(state=Comparison.State.DONE).order_by("-finished", "-pk").first()


def check_model(model: TunedModel) -> None:
    """Raises StaleModel, ModelGone, WrongModel."""
    if model.stale is not None:
        raise StaleModel(model)
    if model.path and not (Path(settings.DATA_DIR) / model.path).exists():
        raise ModelGone(model)
    try:
        found = checked_models(model.model)
    except UnknownModel as error:
        raise WrongModel(str(error)) from error
    if len(found) != 1:
        raise WrongModel(str(ModelGone(model)))


def serve(model: str, *, seconds: float = 0.0) -> None:
    """Have the embedded server load a tuned model's adapter; nothing to do for all others.

    Raises NotLoaded; StillLoading when it is not there after `seconds`.
    """
    name = adapter_name(ModelId(*model.partition(":")[::2]))
    if not name:
        return
    try:
        adapters.load(name=name)
    except ModelUnavailable as error:
        raise NotLoaded(str(error)) from error
    if seconds and not adapters.wait(name=name, seconds=seconds):
        raise StillLoading(name)


def _refused(candidate: TunedModel, comparison: Comparison | None) -> NotCompared | GateFailed | None:
    if comparison is None or comparison.candidate_id != candidate.pk or comparison.state != Comparison.State.DONE:
        return NotCompared(candidate)
    return None if comparison.passed else GateFailed(sentences_of(comparison.gates))


def _open(coach: Coach | None) -> QuerySet[Promotion]:
    return Promotion.objects.select_for_update().filter(coach=coach, ended=None)


def _start(
    model: TunedModel, coach: Coach | None, share: int, comparison: Comparison | None, by: User | None, overridden: str
) -> Promotion:
    live_order.put_in_front(models=model.model, coach=_slug(coach), share=share, user_id=by.pk if by else None)
    return Promotion.objects.create(
        model=model, coach=coach, share=share, comparison=comparison, started_by=by, overridden=overridden
    )


def _end(rows: Sequence[Promotion], made: Promotion, by: User | None) -> None:
    """They end in the very moment the new one begins: that is how `_before` knows what it took the place of."""
    keys = [row.pk for row in rows]
    Promotion.objects.filter(pk__in=keys, ended=None).update(ended=made.started, ended_by=by)


def _before(promotion: Promotion) -> Promotion | None:
    """The whole promotion it took the place of, if that may be live again."""
    if promotion.share < WHOLE:
        return None  # a canary leaves the whole one where it is
    replaced = Promotion.objects.filter(coach=promotion.coach, share=WHOLE, ended=promotion.started)
    found = replaced.exclude(pk=promotion.pk).select_related("model", "coach", "comparison").first()
    if found is None or found.model_id == promotion.model_id:
        return None
    try:
        check_model(found.model)
    except (StaleModel, ModelGone, WrongModel):
        return None
    return found


def _slug(coach: Coach | None) -> str:
    return coach.slug if coach else ""


def _share_sentence() -> str:
    return _("The share is a whole number from 1 to 100; a canary has less than 100.")
