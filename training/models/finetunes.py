"""Training jobs and their results."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .datasets import DataSet


class FineTune(models.Model):
    """A training job. waiting ─► running ─► done | failed | cancelled; a lease as for a turn.

    base        what is trained: a catalogue name or a path (local), or OpenAI's name of a model
    options     training/finetune/options.py: epochs, learning rate, rank, seed …
    losses      [[step, training loss, held-out loss or null], …]
    remote      OpenAI's ids: {"training_file": …, "validation_file": …, "job": …}
    versions    {"torch": "2.13.0", …}, with seed and the data set's SHA-256 what the same adapter needs
    """

    class Where(models.TextChoices):
        LOCAL = "local", _("this machine")
        OPENAI = "openai", "OpenAI"

    class Method(models.TextChoices):
        SFT = "sft", _("by examples")
        DPO = "dpo", _("by preferences")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    where = models.CharField(_("where"), max_length=6, choices=Where)
    method = models.CharField(_("method"), max_length=3, choices=Method, default=Method.SFT)
    dataset = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="finetunes", verbose_name=_("data set"))
    base = models.CharField(_("base model"), max_length=300)
    name = models.SlugField(_("name of the result"), max_length=60)
    options = models.JSONField(_("options"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    stage = models.CharField(_("stage"), max_length=40, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    seconds_left = models.FloatField(null=True)
    losses = models.JSONField(default=list)
    events = models.JSONField(default=list)
    remote = models.JSONField(default=dict)
    cost = models.JSONField(default=dict)
    versions = models.JSONField(default=dict)
    error = models.TextField(_("what went wrong"), blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    cancel_requested = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("fine-tune")
        verbose_name_plural = _("fine-tunes")

    def __str__(self) -> str:
        return self.name


class TunedModel(models.Model):
    """The result of a fine-tune: a candidate until it is promoted.

    model       as COACH_MODELS names it: llamacpp:lora/NAME, openai:ft:…, ollama:NAME
    path        folder of an adapter, relative to the data folder; '' for a cloud's
    stale       set when somebody in its data took consent back
    """

    name = models.SlugField(_("name"), unique=True, max_length=60)
    model = models.CharField(_("language model"), max_length=300)
    base = models.CharField(_("base model"), max_length=300)
    finetune = models.OneToOneField(FineTune, null=True, on_delete=models.SET_NULL, related_name="result")
    path = models.CharField(max_length=300, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    synthetic = models.BooleanField(_("trained on made-up data"), default=False)
    stale = models.DateTimeField(_("consent was taken back"), null=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("tuned model")
        verbose_name_plural = _("tuned models")

    def __str__(self) -> str:
        return self.name
