"""Two models are asked the same stored prompts, for people to choose from their answers.

A batch is its AnswerPair rows (comparison None, `figures["batch"]`); there is nothing else to remember, so a killed
worker only delays it:

    waiting (no answer yet) ─► answered | failed (figures["error"])       cancelled: what waits is deleted

A worker asks for one pair at a time and holds it by `figures["until"]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.fields.json import KT
from django.utils import timezone
from django.utils.translation import gettext as _

from coach.models import Turn
from coach.provenance import PromptDamaged, stored_prompt
from llm import endpoints, loops, policy, switcher
from llm.endpoints import checked_models
from llm.errors import LanguageModelError, ModelBusy, NoModelLeft, RateLimited, StreamBroken, UnknownModel
from llm.switcher import Limits
from llm.types import Account, ChatRequest, Message, ModelId, Token

from ..models import AnswerPair, TunedModel
from .errors import WrongReview
from .selectors import CONSENTED, LARGEST_SEED, starting_place

MOST_QUESTIONS = 200
SHORTEST_QUESTION = 10  # characters; shorter ones are greetings
HELD = timedelta(minutes=10)
SECONDS = 300.0  # for one answer
# Nobody waits before a screen.
PATIENT = Limits(first_token=60.0, stall=60.0)
ATTEMPTS = 5
GIVE_UP = 3  # so many pairs failed and none was answered: the others would, too
BUSY_SECONDS = 20.0
MAX_TOKENS, TEMPERATURE = 512, 0.3  # of turns from before their sampling was kept


@dataclass(frozen=True, slots=True)
class Batch:
    """Counts of pairs; `waiting` 0: it is over."""

    id: str
    first: str
    second: str
    total: int
    waiting: int
    failed: int
    started: datetime
    error: str

    @property
    def done(self) -> int:
        return self.total - self.waiting


class Busy(Exception):
    """All are busy: this pair is asked for later."""


# --- asking for a batch --------------------------------------------------------------------------


def models_to_offer() -> list[str]:
    """Those in use and those that were tuned here; others may be written."""
    known = [str(model) for model in policy.default_models() if model != policy.GUIDED]
    return list(dict.fromkeys([*known, *TunedModel.objects.values_list("model", flat=True)]))


def start(
    *, user: Any, first: str, second: str, count: int, language: str = "", coach: str = "", cloud: bool = False
) -> str:
    """Make the pairs, without answers yet; the id of the batch. Raises WrongReview.

    The questions are a random sample of what people agreed to and that has no safety flag.
    """
    models = _two_models(first, second)
    if not 1 <= count <= MOST_QUESTIONS:
        raise WrongReview(_("Ask for 1 to %(most)d questions.") % {"most": MOST_QUESTIONS})
    turns = _sample(count, language, coach)
    if not turns:
        raise WrongReview(_("There is no question here whose owner agreed to training."))
    batch = str(uuid.uuid4())
    toss = random.SystemRandom()
    pairs = [
        AnswerPair(
            turn=turn,
            language=turn.language,
            prompt=[{"role": message.role, "content": message.content} for message in prompt],
            question=turn.question,
            first=models[0],
            second=models[1],
            swapped=toss.random() < 0.5,
            figures={"batch": batch, "cloud": cloud, "by": user.pk, "sampling": turn.provenance.get("sampling", {})},
        )
        for turn, prompt in turns
    ]
    AnswerPair.objects.bulk_create(pairs)
    return batch


def _two_models(first: str, second: str) -> list[str]:
    found = []
    for text in (first, second):
        try:
            named = checked_models(text)
        except UnknownModel as error:
            raise WrongReview(str(error)) from error
        if len(named) != 1 or named[0] == policy.GUIDED:
            raise WrongReview(_("Name one language model on each side."))
        found.append(str(named[0]))
    if found[0] == found[1]:
        raise WrongReview(_("Name two different language models."))
    return found


def _sample(count: int, language: str, coach: str) -> list[tuple[Turn, Sequence[Message]]]:
    turns = Turn.objects.filter(CONSENTED, safety="").select_related("conversation__coach")
    if language:
        turns = turns.filter(language=language)
    if coach:
        turns = turns.filter(conversation__coach__slug=coach)
    start = starting_place(random.SystemRandom().randint(0, LARGEST_SEED))
    found: list[tuple[Turn, Sequence[Message]]] = []
    for part in (turns.filter(pk__gte=start), turns.filter(pk__lt=start)):
        for turn in part.order_by("pk").iterator(chunk_size=100):
            if len(found) == count:
                break
            if len(turn.question) > SHORTEST_QUESTION:
                with contextlib.suppress(PromptDamaged):
                    found.append((turn, stored_prompt(turn).messages))
    return found


def cancel(*, batch: str) -> int:
    """Pairs without an answer go; what was answered stays. How many went."""
    return _waiting(batch).delete()[1].get("training.AnswerPair", 0)


def forget_deleted() -> int:
    """Remove pairs whose conversation its owner has deleted: their text goes with it. How many."""
    gone = AnswerPair.objects.filter(comparison=None, turn=None, figures__has_key="batch")
    return gone.delete()[1].get("training.AnswerPair", 0)


# --- how far it is -------------------------------------------------------------------------------


def batches(most: int = 20) -> list[Batch]:
    """The newest first."""
    waiting = Q(first_answer="") & ~Q(figures__has_key="error")
    rows = (
        AnswerPair.objects.filter(comparison=None, figures__has_key="batch")
        .order_by()
        .values(batch=KT("figures__batch"))
        .annotate(
            one=Min("first"),
            other=Min("second"),
            total=Count("pk"),
            waiting=Count("pk", filter=waiting),
            failed=Count("pk", filter=Q(figures__has_key="error")),
            started=Min("created"),
            error=Max(KT("figures__error")),
        )
        .order_by("-started")[:most]
    )
    return [
        Batch(
            row["batch"],
            row["one"],
            row["other"],
            row["total"],
            row["waiting"],
            row["failed"],
            row["started"],
            row["error"] or "",
        )
        for row in rows
    ]


def forgotten() -> list[str]:
    """Batches that wait and of which no worker holds a pair."""
    held: set[str] = set()
    found: set[str] = set()
    now = timezone.now().isoformat()
    waiting = AnswerPair.objects.filter(comparison=None, first_answer="", figures__has_key="batch")
    for figures in waiting.exclude(figures__has_key="error").values_list("figures", flat=True).iterator():
        (held if figures.get("until", "") > now else found).add(figures["batch"])
    return sorted(found - held)


# --- one pair ------------------------------------------------------------------------------------


def ask_next(*, batch: str) -> bool:
    """Ask both models for the next pair of the batch; True when another one waits. Raises Busy."""
    pair = _claim(batch)
    if pair is None:
        return False
    if pair.turn_id is None or not Turn.objects.filter(CONSENTED, pk=pair.turn_id).exists():
        pair.delete()  # consent was taken back meanwhile
        return _waiting(batch).exists()
    models = _model_id(pair.first), _model_id(pair.second)
    endpoints.refresh_for(models)  # no SQL is allowed inside the loop
    try:
        answers = loops.run(_answers(_request(pair), models))
    except Busy:
        if _tried(pair) < ATTEMPTS:
            raise
        _failed(pair, _("The language models were busy all the time; try again later."))
    except (LanguageModelError, TimeoutError) as error:
        _failed(pair, str(error) or _("The language model took too long."))
    else:
        _open(pair).update(first_answer=answers[0], second_answer=answers[1], figures=_without_hold(pair))
    return _waiting(batch).exists()


def _claim(batch: str) -> AnswerPair | None:
    """A waiting pair, held by this worker from now on."""
    now = timezone.now()
    for pair in _waiting(batch).order_by("pk"):
        if pair.figures.get("until", "") > now.isoformat():
            continue
        held = pair.figures | {"until": (now + HELD).isoformat(), "tried": pair.figures.get("tried", 0) + 1}
        if _open(pair).filter(figures=pair.figures).update(figures=held):
            pair.figures = held
            return pair
    return None


def _waiting(batch: str) -> QuerySet[AnswerPair]:
    return AnswerPair.objects.filter(comparison=None, figures__batch=batch, first_answer="").exclude(
        figures__has_key="error"
    )


def _open(pair: AnswerPair) -> QuerySet[AnswerPair]:
    return AnswerPair.objects.filter(pk=pair.pk, first_answer="")


def _without_hold(pair: AnswerPair) -> dict[str, Any]:
    return {name: value for name, value in pair.figures.items() if name != "until"}


def _tried(pair: AnswerPair) -> int:
    """Lets go of the pair; how often it was asked for."""
    _open(pair).update(figures=_without_hold(pair))
    return int(pair.figures["tried"])


def _failed(pair: AnswerPair, sentence: str) -> None:
    _open(pair).update(figures=_without_hold(pair) | {"error": sentence[:500]})
    of_batch = AnswerPair.objects.filter(comparison=None, figures__batch=pair.figures["batch"])
    failed = of_batch.filter(figures__has_key="error").count()
    if failed >= GIVE_UP and not of_batch.exclude(first_answer="").exists():
        for other in _waiting(pair.figures["batch"]):
            _open(other).update(figures=_without_hold(other) | {"error": sentence[:500]})


async def _answers(request: ChatRequest, models: tuple[ModelId, ModelId]) -> tuple[str, str]:
    """One after the other: on a small machine two at once would only wait for each other."""
    return await _answer(request, models[0]), await _answer(request, models[1])


def _model_id(name: str) -> ModelId:
    provider, _colon, rest = name.partition(":")
    return ModelId(provider, rest)


def _request(pair: AnswerPair) -> ChatRequest:
    sampling: dict[str, Any] = pair.figures.get("sampling", {})
    return ChatRequest(
        messages=[Message(one["role"], one["content"]) for one in pair.prompt],
        max_tokens=int(sampling.get("max_tokens", MAX_TOKENS)),
        temperature=float(sampling.get("temperature", TEMPERATURE)),
        private=not pair.figures.get("cloud"),
        language=pair.language,
        account=Account(purpose="pairs"),
    )


async def _answer(request: ChatRequest, model: ModelId) -> str:
    words: list[str] = []
    try:
        async with asyncio.timeout(SECONDS), contextlib.aclosing(switcher.stream(request, [model], PATIENT)) as events:
            async for event in events:
                if isinstance(event, Token):
                    words.append(event.text)
    except NoModelLeft as error:
        if isinstance(error.__cause__, ModelBusy | RateLimited):
            raise Busy from error
        raise
    answer = "".join(words).strip()
    if not answer:
        raise StreamBroken(_("%(model)s answered without a word.") % {"model": model})
    return answer
