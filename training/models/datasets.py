"""Data sets and exports: turns that may be learned from."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from coach.models import Turn


class DataSet(models.Model):
    """Examples that were chosen by `filter`, looked through by a person, and then frozen: after that nothing changes.

    building ─► review ─► frozen          failed | cancelled from any state before

    filter      training/filters.py
    counts      {"turns": 812, "examples": 311, "left_out": {"rating": 204, …}, "replaced": {"mail": 12, …}}
    manifest    of the frozen set: ids, filter, counts, SHA-256 of its files
    stale       set when somebody in it took consent back after it was frozen: no new training on it
    """

    class Kind(models.TextChoices):
        ANSWERS = "answers", pgettext_lazy("data set of", "answers")
        PREFERENCES = "preferences", _("preferences")

    class State(models.TextChoices):
        BUILDING = "building", _("being built")
        REVIEW = "review", _("to be approved")
        FROZEN = "frozen", _("frozen")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    name = models.CharField(_("name"), max_length=120)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind, default=Kind.ANSWERS)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.BUILDING)
    synthetic = models.BooleanField(_("made up, not from people"), default=False)
    filter = models.JSONField(_("filter"), default=dict)
    held_out = models.FloatField(_("share held out"), default=0.2)
    seed = models.PositiveIntegerField(_("seed"), default=0)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    manifest = models.JSONField(default=dict)
    sha256 = models.CharField(max_length=64, blank=True)
    stale = models.DateTimeField(_("consent was taken back"), null=True)
    error = models.TextField(_("what went wrong"), blank=True)
    cancel_requested = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), auto_now_add=True)
    frozen = models.DateTimeField(_("frozen"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("data set")
        verbose_name_plural = _("data sets")

    def __str__(self) -> str:
        return self.name


class Example(models.Model):
    """One example of a data set, with personal data replaced.

    prompt      [{"role": …, "content": …}, …]: what the model is shown, ends with the question
    answer      what it shall write; `rejected` what it shall not ('' in a set of answers)
    replaced    {"mail": 1, "name": 2}: how many of what was replaced in it
    """

    class Split(models.TextChoices):
        TRAIN = "train", _("training")
        HELD_OUT = "held_out", _("held out")

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    dataset = models.ForeignKey(DataSet, on_delete=models.CASCADE, related_name="examples")
    turn = models.ForeignKey(Turn, null=True, on_delete=models.SET_NULL, related_name="examples")
    conversation = models.UUIDField(null=True)
    split = models.CharField(_("part"), max_length=8, choices=Split, default=Split.TRAIN)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PROPOSED)
    language = models.CharField(_("language"), max_length=5, blank=True)
    prompt = models.JSONField(_("prompt"), default=list)
    answer = models.TextField(_("answer"))
    rejected = models.TextField(_("rejected answer"), blank=True)
    replaced = models.JSONField(_("replaced"), default=dict)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["pk"]
        verbose_name = _("example")
        verbose_name_plural = _("examples")
        indexes = [models.Index(fields=["dataset", "split", "state"], name="example_of_part")]

    def __str__(self) -> str:
        return self.answer[:60]


class Export(models.Model):
    """A file of rated turns. waiting ─► running ─► done | failed | cancelled.

    filter      training/filters.py; manifest: ids' hash, filter, counts in and out with reasons, SHA-256 of the file
    path        relative to the data folder; removed with the row
    stale       set when somebody in it took consent back, kept the conversation out or deleted it: no training on it
    looked      what the last look for that saw (exports/marks.py)
    """

    class Kind(models.TextChoices):
        SESSIONS = "sessions", _("sessions")
        OPENAI = "openai", "OpenAI"
        PREFERENCES = "preferences", _("preferences")
        SHAREGPT = "sharegpt", "ShareGPT"
        CSV = "csv", "CSV"

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    filter = models.JSONField(_("filter"), default=dict)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    bytes = models.PositiveBigIntegerField(default=0)
    path = models.CharField(max_length=300, blank=True)
    manifest = models.JSONField(default=dict)
    error = models.TextField(_("what went wrong"), blank=True)
    cancel_requested = models.BooleanField(default=False)
    stale = models.DateTimeField(_("consent was taken back"), null=True)
    looked = models.CharField(max_length=60, blank=True)
    schedule = models.ForeignKey("ExportSchedule", null=True, on_delete=models.SET_NULL, related_name="exports")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("export")
        verbose_name_plural = _("exports")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created:%Y-%m-%d}"


class ExportSchedule(models.Model):
    """An export that is made again and again by the clock."""

    class Every(models.TextChoices):
        DAY = "day", _("each day")
        WEEK = "week", _("each week")
        MONTH = "month", _("each month")

    kind = models.CharField(_("kind"), max_length=12, choices=Export.Kind)
    filter = models.JSONField(_("filter"), default=dict)
    every = models.CharField(_("how often"), max_length=5, choices=Every, default=Every.WEEK)
    keep = models.PositiveSmallIntegerField(_("files to keep"), default=4)
    active = models.BooleanField(_("active"), default=True)
    last = models.DateTimeField(_("last"), null=True, editable=False)

    class Meta:
        verbose_name = _("scheduled export")
        verbose_name_plural = _("scheduled exports")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.get_every_display()}"
