"""Krippendorff's alpha against worked examples, and which reviews count."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.defaultfilters import floatformat

from tests.training.review_people import agree, person, talk_of, turn_in
from training.review import alpha, services
from training.review.agreement import Agreement, agreement

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): four observers, twelve units, missing values.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
UNITS = [
    [value for value in values if value is not None]
    for values in zip(*OBSERVERS, strict=True)
    if sum(value is not None for value in values) > 1
]


def test_alpha_of_the_published_example() -> None:
    assert alpha.alpha("nominal", UNITS) == pytest.approx(0.743, abs=0.001)
    assert alpha.alpha("ordinal", UNITS) == pytest.approx(0.815, abs=0.001)
    first, none, second = alpha.in_a_process([("nominal", UNITS), ("ordinal", []), ("ordinal", UNITS)])
    assert (first, none, second) == (alpha.alpha("nominal", UNITS), None, alpha.alpha("ordinal", UNITS))


def test_alpha_at_its_ends() -> None:
    assert alpha.alpha("nominal", []) is None
    assert alpha.alpha("nominal", [[3, 3], [3, 3]]) is None  # nothing varies, so nothing can be told
    assert alpha.alpha("ordinal", [[1, 1], [5, 5], [3, 3]]) == 1.0
    assert (alpha.alpha("ordinal", [[1, 5], [5, 1]]) or 0) < 0


def test_a_process_that_fails_is_told_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpha.sys, "executable", "/nowhere/python")
    with pytest.raises(alpha.AlphaFailed):
        alpha.in_a_process([("nominal", UNITS)])
    assert alpha.in_a_process([("nominal", [[1, 1]])]) == [None]


@pytest.mark.parametrize(
    ("value", "units", "state"),
    [(0.9, 30, "reliable"), (0.7, 30, "tentative"), (0.5, 30, "low"), (0.9, 5, "unknown"), (None, 30, "unknown")],
)
def test_what_a_value_means(value: float | None, units: int, state: str) -> None:
    assert Agreement("", value, units, 2 * units).state == state


@pytest.mark.django_db
def test_only_turns_with_two_reviews_count(alice: Any, coach: Any, ada: Any, client: Any) -> None:
    from coach.models import RatingReason

    RatingReason.objects.get_or_create(slug="clear", defaults={"texts": {"en": "Clear"}})
    agree(alice)
    english, swedish = talk_of(alice, coach), talk_of(alice, coach, language="sv")
    rae, rob = person("rae", rater=True), person("rob", rater=True)
    given = [(english, 1, 1), (english, 4, 5), (swedish, 2, 2), (swedish, 5, 4)]
    for talk, one, other in given:
        turn = turn_in(talk)
        services.save_review(user=rae, turn_id=turn.pk, rating=one, reasons=["clear"] if one > 3 else [])
        services.save_review(user=rob, turn_id=turn.pk, rating=other, reasons=["clear"] if other > 3 else [])
    services.save_review(user=rae, turn_id=turn_in(english).pk, rating=1)
    half = turn_in(english)
    services.save_review(user=rae, turn_id=half.pk, rating=3)
    services.save_review(user=rob, turn_id=half.pk, comment="I cannot tell.")
    found = agreement()
    units = [[one, other] for _talk, one, other in given]
    assert not found.failed and found.all.alpha == pytest.approx(alpha.alpha("ordinal", units))
    assert (found.all.units, found.all.values, found.raters) == (4, 8, 2)
    assert [(one.name, one.units) for one in found.languages] == [("English", 2), ("Svenska", 2)]
    assert [(one.name, one.units) for one in found.coaches] == [(coach.name, 4)]
    [reason] = found.reasons
    assert (reason.alpha, reason.units) == (1.0, 5)
    client.force_login(ada)
    page = client.get("/admin/training/review/agreement/").content.decode()
    assert f'<p class="ac-number">{floatformat(found.all.alpha, 2)}</p>' in page
