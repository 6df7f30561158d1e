"""Counts that take seconds when there are a million turns."""

from __future__ import annotations

from django.db import models


class FunnelCount(models.Model):
    """What the funnel was when it was last counted (review/funnel_counts.py); one row for each choice on its page.

    days        0: of all time
    steps       [[key, turns left, [[reason, turns], …]], …]
    asked       when a worker was last asked to count it
    """

    days = models.PositiveIntegerField(default=0)
    coach = models.CharField(max_length=60, blank=True)
    language = models.CharField(max_length=5, blank=True)
    steps = models.JSONField(default=list)
    counted = models.DateTimeField(null=True)
    asked = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["days", "coach", "language"], name="one_count_a_choice")]

    def __str__(self) -> str:
        return f"{self.days} {self.coach} {self.language}"
