"""Conversations between a coachee and a coach.

Coach 1─* Conversation 1─* Turn 1─0..1 Rating, 0..1 AnswerEdit, 1─* RatingChange, 1─* Replay
               ├─────1─* Source         numbered once per conversation, never renumbered
               └─────1─* PromptMessage  what a model was shown, once and byte for byte
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from knowledge.models import Chunk, Document, KnowledgeBase


class Coach(models.Model):
    """A configured persona: mode, prompt, knowledge bases, models."""

    class Mode(models.TextChoices):
        PERSONAL = "personal", _("personal development")
        UNIVERSITY = "university", _("AI in the university")

    slug = models.SlugField(_("short name"), unique=True, max_length=60)
    name = models.CharField(_("name"), max_length=120)
    mode = models.CharField(_("mode"), max_length=20, choices=Mode)
    description = models.CharField(_("description"), max_length=300, blank=True)
    prompt = models.TextField(
        _("own prompt"), blank=True, help_text=_("Empty: the prompt of the mode, in the coachee's language.")
    )
    knowledge_bases = models.ManyToManyField(
        KnowledgeBase, blank=True, related_name="coaches", verbose_name=_("knowledge bases")
    )
    language_models = models.CharField(
        _("language models"),
        max_length=500,
        blank=True,
        help_text=_(
            "In order of preference, separated by commas: ollama:llama3.1,llamacpp. Empty: the setting COACH_MODELS."
        ),
    )
    active = models.BooleanField(_("active"), default=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["position", "name"]
        verbose_name = _("coach")
        verbose_name_plural = _("coaches")

    def __str__(self) -> str:
        return self.name


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations", verbose_name=_("coachee")
    )
    coach = models.ForeignKey(Coach, on_delete=models.PROTECT, related_name="conversations", verbose_name=_("coach"))
    title = models.CharField(_("title"), max_length=120, blank=True)
    language = models.CharField(_("language"), max_length=5, choices=settings.LANGUAGES, default="en")
    private = models.BooleanField(
        _("private"), default=False, help_text=_("Only language models on this machine answer here.")
    )
    kept_out = models.BooleanField(
        _("not for training"), default=False, help_text=_("Never used to train a model, whatever its owner agreed to.")
    )
    # Turns before this one keep their text in the prompt but lose their sources (prompting.py).
    sources_from_turn = models.PositiveIntegerField(default=0, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("last turn"), auto_now=True, db_index=True)

    class Meta:
        ordering = ["-updated"]
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    def __str__(self) -> str:
        return self.title or str(self.id)


class Source(models.Model):
    """A numbered passage of a conversation. `excerpt` is what the model was shown and what stays
    readable when the document is deleted; `text` is the whole passage."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="sources")
    n = models.PositiveIntegerField(_("number"))
    chunk = models.ForeignKey(Chunk, null=True, on_delete=models.SET_NULL, related_name="+")
    document = models.ForeignKey(Document, null=True, on_delete=models.SET_NULL, related_name="+")
    title = models.CharField(_("document"), max_length=300)
    location = models.CharField(_("place in the document"), max_length=300, blank=True)
    text = models.TextField(_("passage"))
    excerpt = models.TextField(_("shown to the model"))

    class Meta:
        ordering = ["n"]
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "n"], name="source_number_once"),
        ]

    def __str__(self) -> str:
        return f"[{self.n}] {self.title}"


class Turn(models.Model):
    """One question and its answer; the client makes the id, so that a resend is harmless.

    pending ─► running ─► done | stopped | failed
       ▲          │
       └──────────┘  the lease ran out: another runner claims it; after 3 attempts it is failed
    """

    class State(models.TextChoices):
        PENDING = "pending", _("waiting")
        RUNNING = "running", _("being answered")
        DONE = "done", _("answered")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="turns", verbose_name=_("conversation")
    )
    position = models.PositiveIntegerField(_("position"), help_text=_("Siblings (regenerated answers) share it."))
    regenerates = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="siblings")
    question = models.TextField(_("question"))
    language = models.CharField(_("language"), max_length=5, default="en")
    answer = models.TextField(_("answer"), blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PENDING)
    # [{"n": 1, "score": 0.03}, …]: the sources this turn could cite; `citations` lists the numbers it did cite.
    sources = models.JSONField(default=list)
    citations = models.JSONField(default=list)
    # [[start, end], …] in characters of the answer: sentences that none of the sources supports (grounding.py).
    unsupported = models.JSONField(default=list)
    notices = models.JSONField(default=list)
    grounded = models.BooleanField(_("covered by the knowledge"), default=False)
    model = models.CharField(_("language model"), max_length=200, blank=True)
    place = models.CharField(_("where it ran"), max_length=10, blank=True)
    usage = models.JSONField(default=dict)
    timings = models.JSONField(default=dict)
    safety = models.CharField(_("safety flag"), max_length=40, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure = models.TextField(_("what went wrong"), blank=True)
    # How its prompt can be had again (provenance.py): messages by hash, sampling, generations, chunks, history.
    provenance = models.JSONField(default=dict)
    stop_requested = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    created = models.DateTimeField(_("asked"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["conversation", "position", "created"]
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        indexes = [
            models.Index(fields=["state", "lease_until"], name="turn_claimable"),
            models.Index(fields=["-created"], name="turn_created"),
        ]

    def __str__(self) -> str:
        return self.question[:60]


class Rating(models.Model):
    turn = models.OneToOneField(Turn, on_delete=models.CASCADE, related_name="rating", verbose_name=_("turn"))
    rating = models.PositiveSmallIntegerField(_("rating"), validators=[MinValueValidator(1), MaxValueValidator(5)])
    helpful = models.BooleanField(_("helpful"), null=True)
    reasons = models.JSONField(_("reasons"), default=list, blank=True, help_text=_("Short names of reasons."))
    comment = models.TextField(_("comment"), blank=True, max_length=2000)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        constraints = [
            models.CheckConstraint(condition=models.Q(rating__gte=1, rating__lte=5), name="rating_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"{self.rating}/5"


class RatingReason(models.Model):
    """A reason one can pick with a rating, in each language; a reason that was used is switched off, not removed.

    texts       {"en": "Clear and concrete", "sv": …}; English is shown where a language is missing
    shown_for   the ratings it is offered with: 1 or 2, 4 or 5, or any; with 3 each one is
    """

    class ShownFor(models.TextChoices):
        ANY = "any", _("any rating")
        LOW = "low", _("low ratings")
        HIGH = "high", _("high ratings")

    slug = models.SlugField(_("short name"), unique=True, max_length=40)
    texts = models.JSONField(_("texts"), default=dict)
    shown_for = models.CharField(_("shown for"), max_length=4, choices=ShownFor, default=ShownFor.ANY)
    active = models.BooleanField(_("active"), default=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["position", "slug"]
        verbose_name = _("reason for a rating")
        verbose_name_plural = _("reasons for ratings")

    def __str__(self) -> str:
        return self.slug


class RatingChange(models.Model):
    """What a rating was set to, each time, by whom. rating None: it was taken back."""

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="rating_changes", verbose_name=_("turn"))
    rating = models.PositiveSmallIntegerField(_("rating"), null=True)
    helpful = models.BooleanField(_("helpful"), null=True)
    reasons = models.JSONField(_("reasons"), default=list)
    comment = models.TextField(_("comment"), blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("by")
    )
    created = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        ordering = ["created", "pk"]
        verbose_name = _("change of a rating")
        verbose_name_plural = _("changes of ratings")

    def __str__(self) -> str:
        return f"{self.rating or '–'}/5"


class AnswerEdit(models.Model):
    """How its coachee would have had an answer; the answer itself stays what the model wrote."""

    turn = models.OneToOneField(Turn, on_delete=models.CASCADE, related_name="edit", verbose_name=_("turn"))
    text = models.TextField(_("text"))
    created = models.DateTimeField(_("created"), auto_now_add=True)
    updated = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("improved answer")
        verbose_name_plural = _("improved answers")

    def __str__(self) -> str:
        return self.text[:60]


class Replay(models.Model):
    """A turn's prompt, answered again for an administrator to compare; never a part of the conversation.

    waiting ─► running ─► done | failed | cancelled

    model       to be asked; '' those the coach has now
    prompt      takes the place of the opening; '' the stored one
    search      '' the sources as they were, '*' another search in the coach's knowledge bases, else a base's short name
    result      {"model", "place", "exact", "sources": [{"n", "title", "location", "text"}], "citations", "seconds"}
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being answered")
        DONE = "done", _("answered")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="replays", verbose_name=_("turn"))
    model = models.CharField(_("language model"), max_length=300, blank=True)
    prompt = models.TextField(_("own prompt"), blank=True)
    search = models.CharField(_("search"), max_length=120, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    answer = models.TextField(_("answer"), blank=True)
    result = models.JSONField(default=dict)
    error = models.TextField(_("what went wrong"), blank=True)
    cancel_requested = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("replay")
        verbose_name_plural = _("replays")

    def __str__(self) -> str:
        return f"{self.turn_id}: {self.model or '–'}"


class PromptMessage(models.Model):
    """One message of the prompts of a conversation, kept once, byte for byte; Turn.provenance names it by its hash.

    conversation    None: the opening that all conversations of a coach share; nothing anybody wrote is in it
    """

    conversation = models.ForeignKey(Conversation, null=True, on_delete=models.CASCADE, related_name="prompt_messages")
    sha256 = models.CharField(max_length=64, help_text="Of role, a newline and the text, as UTF-8.")
    role = models.CharField(max_length=10)
    text = models.TextField()

    class Meta:
        verbose_name = _("message of a prompt")
        verbose_name_plural = _("messages of prompts")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "sha256"], name="prompt_message_once"),
            models.UniqueConstraint(
                fields=["sha256"], condition=models.Q(conversation=None), name="prompt_opening_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.sha256[:8]}"
