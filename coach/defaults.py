"""The two coaches every installation starts with."""

from __future__ import annotations

from knowledge.models import KnowledgeBase
from knowledge.starter import BASES

from .models import Coach

DEFAULTS = (
    (
        "personal",
        Coach.Mode.PERSONAL,
        "Personal coach",
        "Goals, habits, work and life: think it through with a coach.",
        0,
    ),
    (
        "university",
        Coach.Mode.UNIVERSITY,
        "University coach",
        "Bring AI into teaching, assessment and administration.",
        1,
    ),
)


def create_default_coaches() -> int:
    """Make what is missing and leave what an admin changed; how many were made."""
    made = 0
    for slug, mode, name, description, position in DEFAULTS:
        coach, created = Coach.objects.get_or_create(
            slug=slug, defaults={"mode": mode, "name": name, "description": description, "position": position}
        )
        if created:
            made += 1
            base, _there = KnowledgeBase.objects.get_or_create(slug=slug, defaults={"name": BASES[slug]})
            coach.knowledge_bases.add(base)
    return made
