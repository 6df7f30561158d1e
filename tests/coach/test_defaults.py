"""The first two coaches, whatever was there before."""

import pytest

from coach.defaults import create_default_coaches
from coach.models import Coach
from knowledge.models import KnowledgeBase

pytestmark = pytest.mark.django_db


def test_each_default_coach_may_cite_the_base_of_its_name() -> None:
    KnowledgeBase.objects.create(slug="university", name="Ours")
    assert create_default_coaches() == 2
    assert {c.slug: [b.slug for b in c.knowledge_bases.all()] for c in Coach.objects.all()} == {
        "personal": ["personal"],
        "university": ["university"],
    }
    assert KnowledgeBase.objects.get(slug="university").name == "Ours"


def test_what_an_admin_changed_stays() -> None:
    create_default_coaches()
    Coach.objects.get(slug="personal").knowledge_bases.clear()
    Coach.objects.filter(slug="personal").update(name="Kim", active=False)
    assert create_default_coaches() == 0
    coach = Coach.objects.get(slug="personal")
    assert (coach.name, coach.active, coach.knowledge_bases.count()) == ("Kim", False, 0)
