"""What raters say of turns, and what people and judges choose."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from coach.models import Turn

from .comparisons import Comparison


class Review(models.Model):
    """What a rater says of a turn; `ideal_answer` is what the coach should have written, '' when it was not written.

    The turn's answer and the ideal one make a preference pair: same prompt, chosen and rejected.
    """

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="reviews", verbose_name=_("turn"))
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("rater")
    )
    rating = models.PositiveSmallIntegerField(
        _("rating"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    reasons = models.JSONField(_("reasons"), default=list)
    ideal_answer = models.TextField(_("ideal answer"), blank=True, max_length=8000)
    comment = models.TextField(_("comment"), blank=True, max_length=2000)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["-updated"]
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = [models.UniqueConstraint(fields=["turn", "reviewer"], name="one_review_a_rater")]

    def __str__(self) -> str:
        return f"{self.rating or '–'}/5"


class AnswerPair(models.Model):
    """The answers of two models to one question, for people and judges to choose from without knowing which is which.

    first, second   models; swapped: the page shows the second one on the left
    figures         per side what was measured of the answer
    """

    comparison = models.ForeignKey(Comparison, null=True, on_delete=models.CASCADE, related_name="pairs")
    turn = models.ForeignKey(Turn, null=True, on_delete=models.CASCADE, related_name="+")
    language = models.CharField(_("language"), max_length=5, default="en")
    prompt = models.JSONField(_("prompt"), default=list)
    question = models.TextField(_("question"))
    first = models.CharField(max_length=300)
    second = models.CharField(max_length=300)
    first_answer = models.TextField(blank=True)
    second_answer = models.TextField(blank=True)
    figures = models.JSONField(default=dict)
    swapped = models.BooleanField(default=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("pair of answers")
        verbose_name_plural = _("pairs of answers")

    def __str__(self) -> str:
        return self.question[:60]


class Choice(models.Model):
    """What a person, or a judge model (`judge`), chose of a pair: 'first', 'second' or 'tie'.

    swapped     in which order a judge was shown them: it is asked both ways
    """

    pair = models.ForeignKey(AnswerPair, on_delete=models.CASCADE, related_name="choices")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    judge = models.CharField(max_length=300, blank=True)
    swapped = models.BooleanField(default=False)
    chosen = models.CharField(max_length=6)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "person"], condition=models.Q(judge=""), name="one_choice_a_person"
            ),
            models.UniqueConstraint(
                fields=["pair", "judge", "swapped"], condition=~models.Q(judge=""), name="one_choice_a_judge"
            ),
        ]

    def __str__(self) -> str:
        return self.chosen
