"""Which turns may be learned from: one filter for the funnel, exports and data sets.

Usable at all: answered, its owner agreed to training, and the conversation is neither private nor kept out. The rest
can be set. The conditions are written once, in SQL: `queryset`, `counts` and `why_not` cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Length
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from coach.errors import Refusal
from coach.models import AnswerEdit, Turn

from .models import Review

LONGEST = 100_000  # characters; more than any question or answer has
MOST_HISTORY = 50_000  # tokens; OpenAI takes examples of 65,536

# Why a turn is left out, in the order in which it is looked at: the first one counts.
REASONS: dict[str, Any] = {
    "state": gettext_lazy("not answered"),
    "consent": gettext_lazy("no consent to training"),
    "cloud": gettext_lazy("consent to training on this machine only"),
    "kept_out": gettext_lazy("kept out by its owner"),
    "private": gettext_lazy("private conversation"),
    "safety": gettext_lazy("safety flag"),
    "date": gettext_lazy("outside of the dates"),
    "coach": gettext_lazy("another coach"),
    "language": gettext_lazy("another language"),
    "unrated": gettext_lazy("not rated"),
    "rating": gettext_lazy("rated too low"),
    "helpful": pgettext_lazy("why a turn is left out", "not marked as wanted (helpful)"),
    "question": gettext_lazy("question too short"),
    "answer": gettext_lazy("answer too short"),
}


class WrongFilter(Refusal):
    code = "wrong_filter"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFilter:
    """What a turn must be.

    since, until    asked at `since` or later and before `until`; None: any time
    coaches         slugs; (): any. languages: en, sv, nb, ko; (): any
    min_rating      0: unrated ones too
    helpful         what the coachee answered; None: whatever
    min_question    characters; the question is longer than this. min_answer likewise
    consented       only of people who agreed to training. no_safety: without a safety flag
    cloud           only of people who agreed to training at OpenAI, too: nothing else may be sent there
    ideal           a rater's ideal answer, or what the coachee made of the answer, makes a turn good whatever its
                    rating, `helpful` and length of answer
    history         no condition: so many tokens of the conversation before go into an example (exports/history.py)
    """

    since: datetime | None = None
    until: datetime | None = None
    coaches: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    min_rating: int = 3
    helpful: bool | None = None
    min_question: int = 10
    min_answer: int = 20
    consented: bool = True
    cloud: bool = False
    no_safety: bool = True
    ideal: bool = True
    history: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> TurnFilter:
        """What is missing has its default. Raises WrongFilter that names the key."""
        given = dict(data or {})
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise WrongFilter(_("There is no filter called %(names)s.") % {"names": ", ".join(map(str, unknown))})
        found = cls(**{name: _READ[name](name, value) for name, value in given.items()})
        if found.since and found.until and found.since >= found.until:
            raise WrongFilter(_("The filter ends before it begins: look at since and until."))
        return found

    def to_json(self) -> dict[str, Any]:
        """Every key; what `from_json` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _written(value) for name, value in values.items()}

    def queryset(self) -> QuerySet[Turn]:
        """What passes, turns of a conversation together and in their order; streams without a sort of the whole."""
        passes = Q()
        for _code, condition in self._conditions():
            passes &= condition
        return self._turns().filter(passes).order_by("conversation_id", "position", "created", "id")

    def counts(self) -> dict[str, int]:
        """Of all turns: how many pass (key ''), and how many are left out by their first reason. One pass in SQL."""
        rows = self._with_reason().values("left_out").annotate(n=Count("pk")).values_list("left_out", "n")
        found = dict(rows.order_by())
        return {"": found.pop("", 0), **{code: found[code] for code in REASONS if code in found}}

    def why_not(self, turn: Turn) -> str:
        """The first reason, a key of REASONS; '' when the turn passes (as it is stored now)."""
        return self.why_not_each([turn.pk])[turn.pk]

    def why_not_each(self, turns: Sequence[UUID]) -> dict[UUID, str]:
        """The same for several at once."""
        return dict(self._with_reason().filter(pk__in=turns).order_by().values_list("pk", "left_out"))

    def _turns(self) -> QuerySet[Turn]:
        return Turn.objects.alias(
            # Nearly all turns are done: by the index of states the database would have to sort them all.
            ended=Coalesce("state", Value("")),
            question_length=Length("question"),
            answer_length=Length("answer"),
        )

    def _with_reason(self) -> QuerySet[Any]:
        cases = [When(~condition, then=Value(code)) for code, condition in self._conditions()]
        return self._turns().annotate(left_out=Case(*cases, default=Value(""), output_field=CharField()))

    def _conditions(self) -> list[tuple[str, Q]]:
        """(code, what passes), in the order of REASONS."""
        ideal = _BETTER if self.ideal else None
        found = [("state", Q(ended=Turn.State.DONE))]
        if self.consented:
            found.append(("consent", Q(conversation__owner__training_consent__isnull=False)))
        if self.cloud:
            found.append(("cloud", Q(conversation__owner__training_consent_cloud=True)))
        found.append(("kept_out", Q(conversation__kept_out=False)))
        found.append(("private", Q(conversation__private=False)))
        if self.no_safety:
            found.append(("safety", Q(safety="")))
        if self.since or self.until:
            found.append(("date", _between(self.since, self.until)))
        if self.coaches:
            found.append(("coach", Q(conversation__coach__slug__in=self.coaches)))
        if self.languages:
            found.append(("language", Q(language__in=self.languages)))
        if self.min_rating:
            found.append(("unrated", _or(Q(rating__isnull=False), ideal)))
            found.append(("rating", _or(Q(rating__rating__gte=self.min_rating), ideal)))
        if self.helpful is not None:
            found.append(("helpful", _or(Q(rating__helpful=self.helpful), ideal)))
        found.append(("question", Q(question_length__gt=self.min_question)))
        found.append(("answer", _or(Q(answer_length__gt=self.min_answer), ideal)))
        return found


# Somebody wrote what should have been answered.
_BETTER = Q(Exists(Review.objects.filter(turn=OuterRef("pk")).exclude(ideal_answer=""))) | Q(
    Exists(AnswerEdit.objects.filter(turn=OuterRef("pk")))
)


def _between(since: datetime | None, until: datetime | None) -> Q:
    found = Q(created__gte=since) if since else Q()
    return found & Q(created__lt=until) if until else found


def _or(condition: Q, ideal: Q | None) -> Q:
    return condition if ideal is None else condition | ideal


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _wrong(name: str, value: Any, wanted: str) -> WrongFilter:
    words = {"name": name, "wanted": wanted, "value": str(value)[:60]}
    return WrongFilter(_("The filter %(name)s must be %(wanted)s, not “%(value)s”.") % words)


def _moment(name: str, value: Any) -> datetime | None:
    """A date or a moment; a date alone means all of that day, also as `until`."""
    if value in (None, ""):
        return None
    wanted = _("a date such as 2026-01-31")
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = _of_day(name, value)
    else:
        if not isinstance(value, str):
            raise _wrong(name, value, wanted)
        try:
            text = value.strip()
            found = _of_day(name, date.fromisoformat(text)) if len(text) == 10 else datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise _wrong(name, value, wanted) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _of_day(name: str, day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1) if name == "until" else day, time.min, UTC)


def _names(name: str, value: Any) -> tuple[str, ...]:
    """A list of names, or one name."""
    found = (value,) if isinstance(value, str) and value else value or ()
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) and 0 < len(one) <= 60 for one in found):
        raise _wrong(name, value, _("a list of names"))
    return tuple(dict.fromkeys(found))


def _languages(name: str, value: Any) -> tuple[str, ...]:
    found = _names(name, value)
    known = [code for code, _name in settings.LANGUAGES]
    if set(found) - set(known):
        raise _wrong(name, value, _("some of %(codes)s") % {"codes": ", ".join(known)})
    return found


def _whole(highest: int) -> Any:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
            wanted = _("a whole number from 0 to %(highest)d") % {"highest": highest}
            raise _wrong(name, value, wanted)
        return value

    return read


def _yes_or_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, _("true or false"))
    return value


def _maybe(name: str, value: Any) -> bool | None:
    return None if value is None else _yes_or_no(name, value)


_READ = {
    "since": _moment,
    "until": _moment,
    "coaches": _names,
    "languages": _languages,
    "min_rating": _whole(5),
    "helpful": _maybe,
    "min_question": _whole(LONGEST),
    "min_answer": _whole(LONGEST),
    "consented": _yes_or_no,
    "cloud": _yes_or_no,
    "no_safety": _yes_or_no,
    "ideal": _yes_or_no,
    "history": _whole(MOST_HISTORY),
}
