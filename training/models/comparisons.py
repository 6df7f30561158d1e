"""A candidate against the live model, and what was live when."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from coach.models import Coach

from .datasets import DataSet
from .finetunes import TunedModel


class Comparison(models.Model):
    """A candidate against the live model on questions it never saw. waiting ─► running ─► done | failed | cancelled.

    figures     per measure: {"candidate": 0.71, "live": 0.64, "difference": 0.07, "low": 0.02, "high": 0.12, "n": 80}
    gates       {"held_out_loss": {"passed": true, "why": ""}, …}; passed: all of them
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    candidate = models.ForeignKey(TunedModel, on_delete=models.CASCADE, related_name="comparisons")
    live = models.CharField(_("live model"), max_length=300)
    dataset = models.ForeignKey(DataSet, null=True, on_delete=models.SET_NULL, related_name="comparisons")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    options = models.JSONField(default=dict)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict)
    gates = models.JSONField(default=dict)
    passed = models.BooleanField(_("may go live"), default=False)
    error = models.TextField(_("what went wrong"), blank=True)
    cancel_requested = models.BooleanField(default=False)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")

    def __str__(self) -> str:
        return f"{self.candidate} · {self.live}"


class Promotion(models.Model):
    """What was live when: a tuned model, for a coach or all, for a share of the conversations.

    share       percent of conversations; below 100 it is a canary
    ended       when it was rolled back or another one took its place; the open ones are live
    overridden  why an admin promoted it although a gate said no; '' when all passed
    """

    model = models.ForeignKey(TunedModel, on_delete=models.PROTECT, related_name="promotions")
    coach = models.ForeignKey(Coach, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    share = models.PositiveSmallIntegerField(
        _("share of conversations, %"), default=100, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    comparison = models.ForeignKey(Comparison, null=True, on_delete=models.SET_NULL, related_name="+")
    overridden = models.CharField(_("why, although a gate said no"), max_length=300, blank=True)
    started = models.DateTimeField(_("since"), auto_now_add=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    ended = models.DateTimeField(_("until"), null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-started"]
        verbose_name = _("promotion")
        verbose_name_plural = _("promotions")

    def __str__(self) -> str:
        return f"{self.model} {self.share} %"
