"""Evaluations over time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class EvaluationRun(models.Model):
    """One run of `manage.py evaluate`.

    data        name of the folder or file
    setting     what the figures depend on: {"limit": 100, "seed": 0, "vectors": "exact", "models": "…"}
    figures     as the command prints them with --json (training/evaluation/summary.py, retrieval.py)
    """

    class Kind(models.TextChoices):
        RETRIEVAL = "retrieval", _("retrieval")
        ANSWERS = "answers", pgettext_lazy("evaluation of", "answers")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    data = models.CharField(_("data"), max_length=200)
    embedder = models.CharField(_("embedder"), max_length=200)
    model = models.CharField(_("language model"), max_length=200, blank=True)
    items = models.PositiveIntegerField(_("questions"), default=0)
    seconds = models.FloatField(_("seconds"), default=0.0)
    setting = models.JSONField(_("settings"), default=dict)
    figures = models.JSONField(_("figures"), default=dict)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.data}"
