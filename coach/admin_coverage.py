"""The page that shows what the knowledge does not cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from knowledge.models import KnowledgeBase

from .coverage import Group, Wanted, coverage
from .models import Coach, Turn

PERIODS = (7, 30, 90, 365)
MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A group of questions with the name of its coach and the bases where an answer could be added."""

    group: Group
    coach: str
    bases: list[tuple[int, str]]


def coverage_view(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("coach.view_turn"):
        raise PermissionDenied
    coaches = list(Coach.objects.prefetch_related("knowledge_bases"))
    bases = list(KnowledgeBase.objects.all())
    wanted = _wanted(request, coaches, bases)
    found = coverage(wanted)
    names = {coach.pk: coach.name for coach in coaches}
    of_coach = {coach.pk: [(base.pk, base.name) for base in coach.knowledge_bases.all()] for coach in coaches}

    def rows(groups: Any) -> list[Row]:
        return [
            Row(
                group,
                names.get(group.shown.coach, ""),
                [base for base in of_coach.get(group.shown.coach, []) if wanted.base in (0, base[0])],
            )
            for group in groups[:MOST_ROWS]
        ]

    context = {
        "title": _("Coverage"),
        "opts": Turn._meta,
        "wanted": wanted,
        "periods": PERIODS,
        "coaches": coaches,
        "bases": bases,
        "languages": settings.LANGUAGES,
        "found": found,
        "unanswered": rows(found.unanswered),
        "unanswered_total": sum(group.count for group in found.unanswered),
        "low_rated": rows(found.low_rated),
        "low_rated_total": sum(group.count for group in found.low_rated),
        "uncited": [(asked, names.get(asked.coach, "")) for asked in found.uncited[:MOST_ROWS]],
        "most": MOST_ROWS,
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/coach/coverage.html", {**site.each_context(request), **context})


def _wanted(request: HttpRequest, coaches: list[Coach], bases: list[KnowledgeBase]) -> Wanted:
    """The filters of the address; what does not exist counts as "all"."""
    given = request.GET
    days = next((days for days in PERIODS if str(days) == given.get("days")), 30)
    coach = next((coach.pk for coach in coaches if str(coach.pk) == given.get("coach")), 0)
    base = next((base.pk for base in bases if str(base.pk) == given.get("base")), 0)
    language = next((code for code, _name in settings.LANGUAGES if code == given.get("language")), "")
    return Wanted(days=days, coach=coach, base=base, language=language)
