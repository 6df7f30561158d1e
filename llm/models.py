"""What is stored about language models: calls, prices, limits, servers, downloads, and the order in use.

No text of anybody is stored here.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class ModelCall(models.Model):
    """One call of a language model. Kept for LLM_CALL_DAYS, then only its day's sums (CallDay) stay.

    outcome             ok, cancelled, or an error code of llm/errors.py
    queue_seconds       from the question to the call; first_token_seconds and seconds count from the call
    fallback_from       the model that failed before this one in the same turn, '' when none did
    cost                in the price's currency; None when the model has no price, 0 on this machine
    """

    started = models.DateTimeField(_("started"), db_index=True)
    model = models.CharField(_("language model"), max_length=200)
    place = models.CharField(_("where it ran"), max_length=10)
    purpose = models.CharField(_("purpose"), max_length=20, default="turn")
    outcome = models.CharField(_("outcome"), max_length=40, default="ok")
    fallback_from = models.CharField(_("instead of"), max_length=200, blank=True)
    fallback_reason = models.CharField(_("because of"), max_length=40, blank=True)
    queue_seconds = models.FloatField(_("waited, s"), default=0.0)
    first_token_seconds = models.FloatField(_("first token, s"), null=True)
    seconds = models.FloatField(_("whole call, s"), default=0.0)
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), null=True)
    cached_prompt_tokens = models.PositiveIntegerField(_("of these cached"), null=True)
    completion_tokens = models.PositiveIntegerField(_("answer tokens"), null=True)
    prompt_speed = models.FloatField(_("prompt tokens/s"), null=True)
    completion_speed = models.FloatField(_("answer tokens/s"), null=True)
    cost = models.DecimalField(_("cost"), max_digits=12, decimal_places=6, null=True)
    coach = models.CharField(_("coach"), max_length=50, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    turn = models.UUIDField(null=True)

    class Meta:
        ordering = ["-started"]
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        indexes = [
            models.Index(fields=["model", "started"], name="call_of_model"),
            models.Index(fields=["user", "started"], name="call_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.outcome}"


class CallDay(models.Model):
    """The calls of one day (UTC), model and coach in sums; `histogram` counts first tokens by upper bound in ms."""

    day = models.DateField(_("day"))
    model = models.CharField(_("language model"), max_length=200)
    place = models.CharField(max_length=10, blank=True)
    coach = models.CharField(_("coach"), max_length=50, blank=True)
    calls = models.PositiveIntegerField(_("calls"), default=0)
    errors = models.PositiveIntegerField(_("errors"), default=0)
    fallbacks = models.PositiveIntegerField(_("fallbacks"), default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    histogram = models.JSONField(default=dict)

    class Meta:
        ordering = ["-day", "model"]
        verbose_name = _("day")
        verbose_name_plural = _("days")
        constraints = [
            models.UniqueConstraint(fields=["day", "model", "coach"], name="one_sum_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class Price(models.Model):
    """What a cloud model costs, per million tokens. `model` may end in `*`; the longest match counts."""

    model = models.CharField(_("language model"), max_length=200, unique=True)
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    prompt = models.DecimalField(_("prompt"), max_digits=10, decimal_places=4, validators=[MinValueValidator(0)])
    cached_prompt = models.DecimalField(
        _("cached prompt"), max_digits=10, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    completion = models.DecimalField(_("answer"), max_digits=10, decimal_places=4, validators=[MinValueValidator(0)])
    training = models.DecimalField(
        _("fine-tuning"), max_digits=10, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    checked_on = models.DateField(_("checked on"), null=True, blank=True)

    class Meta:
        ordering = ["model"]
        verbose_name = _("price")
        verbose_name_plural = _("prices")

    def __str__(self) -> str:
        return self.model


class Limit(models.Model):
    """A bound on what may be used. Without a coach it counts over all coaches, without a user for each user alike.

    `per_user`: the bound is for each user; else it is for all of them together.
    """

    class Period(models.TextChoices):
        DAY = "day", _("a day")
        MONTH = "month", _("a month")

    coach = models.CharField(_("coach"), max_length=50, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    per_user = models.BooleanField(_("for each user"), default=False)
    period = models.CharField(_("period"), max_length=5, choices=Period, default=Period.MONTH)
    turns = models.PositiveIntegerField(_("turns"), null=True, blank=True)
    tokens = models.PositiveBigIntegerField(_("tokens"), null=True, blank=True)
    cost = models.DecimalField(_("cost"), max_digits=10, decimal_places=2, null=True, blank=True)
    cloud_only = models.BooleanField(
        _("only for cloud models"), default=True, help_text=_("When it is reached, local models go on answering.")
    )

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return f"{self.get_period_display()} {self.coach}".strip()


class Endpoint(models.Model):
    """An OpenAI-compatible server of one's own choice, named in a model as `openai:NAME@SLUG`.

    `secret` is the key, encrypted with SECRET_KEY; it is never shown again.
    """

    slug = models.SlugField(_("short name"), unique=True)
    url = models.URLField(_("base URL"), help_text=_("Ends in /v1 for most servers."))
    secret = models.TextField(_("key"), blank=True, editable=False)
    context_tokens = models.PositiveIntegerField(_("context length"), null=True, blank=True)

    class Meta:
        ordering = ["slug"]
        verbose_name = _("model server")
        verbose_name_plural = _("model servers")

    def __str__(self) -> str:
        return self.slug


class LiveOrder(models.Model):
    """The order of language models an admin switched to at run time; the newest open row counts, '' means COACH_MODELS.

    Turns that run finish on the models they began with.

    front       these models stand in front of the order: of `coach` (a slug, '' for all coaches), for `share`
                percent of the conversations (training/comparison/promotions.py); the order itself has 100 and ''
    ended       when another one took its place or it was rolled back; None: it counts
    """

    order = models.CharField(_("language models in order"), max_length=500, blank=True)
    front = models.BooleanField(_("promoted"), default=False)
    coach = models.CharField(_("coach"), max_length=60, blank=True)
    share = models.PositiveSmallIntegerField(_("share of conversations, %"), default=100)
    ended = models.DateTimeField(_("until"), null=True)
    changed = models.DateTimeField(_("changed"), auto_now_add=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-changed"]
        get_latest_by = "changed"
        verbose_name = _("order of models")
        verbose_name_plural = _("orders of models")

    def __str__(self) -> str:
        return self.order


class ModelPull(models.Model):
    """A model that is being fetched for this installation.

    waiting ─► running ─► done | failed | cancelled
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being fetched")
        DONE = "done", _("fetched")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.CharField(_("language model"), max_length=300)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    bytes_total = models.PositiveBigIntegerField(null=True)
    bytes_done = models.PositiveBigIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(_("what went wrong"), blank=True)
    language = models.CharField(max_length=10, default="en", help_text="Of who asked: what went wrong is said in it.")
    cancel_requested = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    beat = models.DateTimeField(null=True)
    created = models.DateTimeField(_("asked for"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("download")
        verbose_name_plural = _("downloads")

    def __str__(self) -> str:
        return self.model
