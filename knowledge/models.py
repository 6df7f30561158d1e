"""What the coach may cite.

    KnowledgeBase 1─* IndexGeneration   exactly one generation of a base is live
    KnowledgeBase 1─* Document 1─* Chunk

SQL is the truth: Chroma holds one collection per generation and can be rebuilt from here.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class KnowledgeBase(models.Model):
    slug = models.SlugField(_("short name"), unique=True, max_length=60)
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("knowledge base")
        verbose_name_plural = _("knowledge bases")

    def __str__(self) -> str:
        return self.name


class IndexGeneration(models.Model):
    """One embedding model's complete index of a knowledge base."""

    class State(models.TextChoices):
        BUILDING = "building", _("being built")
        LIVE = "live", _("live")
        RETIRED = "retired", _("retired")

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="generations")
    embedder = models.CharField(_("embedder"), max_length=200)
    dimensions = models.PositiveIntegerField(_("dimensions"))
    collection = models.CharField(_("Chroma collection"), max_length=100, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.BUILDING)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("index generation")
        verbose_name_plural = _("index generations")
        constraints = [
            models.UniqueConstraint(fields=["base"], condition=models.Q(state="live"), name="one_live_generation"),
        ]

    def __str__(self) -> str:
        return f"{self.base} · {self.embedder}"


def document_path(document: Document, filename: str) -> str:
    """Stored under its hash: the uploaded name never reaches the file system."""
    return f"documents/{document.sha256[:2]}/{document.sha256}"


class Document(models.Model):
    """One uploaded file.

    pending ─► processing ─► ready
       ▲            │  └───► failed      `error_code`, `error`: what the admin can do
       └─ retry ────┘  └───► cancelled
    """

    class State(models.TextChoices):
        PENDING = "pending", _("waiting")
        PROCESSING = "processing", _("being read")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    base = models.ForeignKey(
        KnowledgeBase, on_delete=models.CASCADE, related_name="documents", verbose_name=_("knowledge base")
    )
    title = models.CharField(_("title"), max_length=300)
    filename = models.CharField(_("file name"), max_length=255)
    language = models.CharField(_("language"), max_length=5, blank=True, choices=settings.LANGUAGES)
    starter = models.CharField(
        max_length=120,
        blank=True,
        db_index=True,
        editable=False,
        help_text="'sv/grow-model': belongs to starter_knowledge/.",
    )
    file = models.FileField(_("file"), upload_to=document_path, max_length=200)
    sha256 = models.CharField(max_length=64, db_index=True, editable=False)
    bytes = models.PositiveBigIntegerField(_("size in bytes"), default=0, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PENDING, db_index=True)
    error_code = models.CharField(max_length=40, blank=True, editable=False)
    error = models.TextField(_("what went wrong"), blank=True, editable=False)
    chunks_total = models.PositiveIntegerField(_("chunks"), default=0, editable=False)
    chunks_done = models.PositiveIntegerField(default=0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    lease_owner = models.CharField(max_length=80, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created = models.DateTimeField(_("uploaded"), auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        constraints = [
            models.UniqueConstraint(fields=["base", "sha256"], name="same_file_once_per_base"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def text(self) -> str:
        """What the loader read; chunks are slices of it. '' before it was read."""
        return self.body.text if hasattr(self, "body") else ""


class DocumentText(models.Model):
    """The text of a document, in a row of its own: SQLite reads a row through to the column it wants, and writes
    it whole for every step of progress, which made each hit in a book cost its megabytes."""

    document = models.OneToOneField(Document, primary_key=True, on_delete=models.CASCADE, related_name="body")
    text = models.TextField(_("text"))

    def __str__(self) -> str:
        return str(self.document)


class Chunk(models.Model):
    """A passage: `document.text[start:end]`. `headings` is the path above it, `page` counts from 1."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    text = models.TextField()
    headings = models.JSONField(default=list)
    page = models.PositiveIntegerField(null=True)
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["document", "position"]
        constraints = [
            models.UniqueConstraint(fields=["document", "position"], name="chunk_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} #{self.position}"
