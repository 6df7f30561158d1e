"""What the coach may cite.

    KnowledgeBase 1─* Splitting 1─* IndexGeneration   exactly one generation of a base is live
    KnowledgeBase 1─* Document 1─* Chunk *─1 Splitting
                          └───1─* QuestionAnswer      points to a stretch of the text, so to a chunk of any splitting

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
    languages = models.JSONField(_("languages"), default=list, blank=True, help_text=_("Those of its documents."))
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("knowledge base")
        verbose_name_plural = _("knowledge bases")

    def __str__(self) -> str:
        return self.name


class Splitting(models.Model):
    """One way of cutting a base's documents into chunks: generations that cut alike share them.

    splitter    `splitting.splitter_id`: the rule, and the embedder whose tokens it counts
    """

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="splittings")
    splitter = models.CharField(max_length=240)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["base", "splitter"], name="one_splitting_each")]

    def __str__(self) -> str:
        return f"{self.base} · {self.splitter}"


class IndexGeneration(models.Model):
    """One embedding model's complete index of a knowledge base.

    building ─► ready ─► live ─► retired ─► (removed)
       │  ▲               ▲         │
       ▼  └─ retry        └─────────┘ roll-back
    failed | cancelled

    While it is not live, `chunks_done` of `chunks_total` are embedded. What arrives meanwhile is written to it, too.
    recall      what the gate found: {"sv": {"questions": 40, "live": 0.95, "new": 0.97}, …}
    coverage    thresholds of "covered" calibrated for this generation; {} for those of its embedder
    verified    what its splitting held when the collection was last found to hold the same: {"chunks": n, "sum": n}
    mended_to   passages up to this id were looked for in the collection by their own vector, and found (`index.mend`)
    chunks_per_second   as last measured by the worker
    """

    class State(models.TextChoices):
        BUILDING = "building", _("being built")
        READY = "ready", _("ready to go live")
        LIVE = "live", _("live")
        RETIRED = "retired", _("retired")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="generations")
    splitting = models.ForeignKey(Splitting, on_delete=models.CASCADE, related_name="generations")
    embedder = models.CharField(_("embedder"), max_length=200)
    dimensions = models.PositiveIntegerField(_("dimensions"))
    collection = models.CharField(_("Chroma collection"), max_length=100, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.BUILDING)
    switch_when_ready = models.BooleanField(_("goes live when it is ready"), default=True)
    chunks_total = models.PositiveIntegerField(_("chunks"), default=0, editable=False)
    chunks_done = models.PositiveIntegerField(default=0, editable=False)
    error_code = models.CharField(max_length=40, blank=True, editable=False)
    error = models.TextField(_("what went wrong"), blank=True, editable=False)
    recall = models.JSONField(_("recall"), default=dict, editable=False)
    coverage = models.JSONField(_("thresholds"), default=dict, editable=False)
    verified = models.JSONField(default=dict, editable=False)
    mended_to = models.PositiveBigIntegerField(default=0, editable=False)
    chunks_per_second = models.FloatField(default=0.0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    lease_owner = models.CharField(max_length=80, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    live_since = models.DateTimeField(_("live since"), null=True, editable=False)
    retired = models.DateTimeField(_("retired"), null=True, editable=False)

    class Meta:
        ordering = ["-created"]
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
    replaces = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="newer",
        editable=False,
        help_text="The version that goes when this one is searchable.",
    )
    url = models.URLField(_("address"), max_length=2000, blank=True, editable=False)
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
    it whole for every step of progress, which made each hit in a book cost its megabytes.

    blocks    of the loader, so that it can be cut again without the file: see `stored.pack`; {} of older rows
    """

    document = models.OneToOneField(Document, primary_key=True, on_delete=models.CASCADE, related_name="body")
    text = models.TextField(_("text"))
    blocks = models.JSONField(default=dict)

    def __str__(self) -> str:
        return str(self.document)


class Chunk(models.Model):
    """A passage: `document.text[start:end]`. `headings` is the path above it, `page` counts from 1."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    splitting = models.ForeignKey(Splitting, on_delete=models.CASCADE, related_name="chunks")
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
            models.UniqueConstraint(fields=["document", "splitting", "position"], name="chunk_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} #{self.position}"


class QuestionAnswer(models.Model):
    """A question that `document.text[start:end]` answers: proposed by a language model, approved by a person.

    Approved ones are extra entries of the index that lead to their passage, and gold questions of the recall gate.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, related_name="questions", verbose_name=_("document")
    )
    start = models.PositiveIntegerField(editable=False)
    end = models.PositiveIntegerField(editable=False)
    question = models.TextField(_("question"), max_length=500)
    answer = models.TextField(_("answer"), max_length=4000)
    language = models.CharField(_("language"), max_length=5, blank=True, choices=settings.LANGUAGES)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PROPOSED, db_index=True)
    model = models.CharField(_("written by"), max_length=200, blank=True, editable=False)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    reviewed = models.DateTimeField(_("reviewed"), null=True, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["document", "start", "pk"]
        verbose_name = _("question and answer")
        verbose_name_plural = _("questions and answers")

    def __str__(self) -> str:
        return self.question[:80]


class PassagePair(models.Model):
    """Two passages of a base that an admin should look at."""

    class Kind(models.TextChoices):
        DUPLICATE = "duplicate", _("near-duplicates")
        CONTRADICTION = "contradiction", _("contradict each other")

    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="pairs")
    one = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(_("kind"), max_length=15, choices=Kind)
    similarity = models.FloatField(_("cosine"))
    note = models.TextField(_("why"), blank=True)
    dismissed = models.BooleanField(_("is fine so"), default=False)
    created = models.DateTimeField(_("found"), auto_now_add=True)

    class Meta:
        ordering = ["-similarity"]
        verbose_name = _("pair of passages")
        verbose_name_plural = _("pairs of passages")
        constraints = [models.UniqueConstraint(fields=["one", "other"], name="pair_once")]

    def __str__(self) -> str:
        return f"{self.one} / {self.other}"


class IndexMap(models.Model):
    """A generation's chunks on a plane, for the map page.

    axes      how to place one more vector: {"mean": […], "x": […], "y": […], "scale": …}
    points    [[chunk id, document number, x, y], …], x and y from 0 to 1; `documents`: the UUIDs by number
    """

    generation = models.OneToOneField(IndexGeneration, primary_key=True, on_delete=models.CASCADE, related_name="map")
    axes = models.JSONField(default=dict)
    documents = models.JSONField(default=list)
    points = models.JSONField(default=list)
    created = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return str(self.generation)


class Job(models.Model):
    """Long work of a worker on a base, done in slices (knowledge/jobs.py).

    waiting ─► running ─► done | failed | cancelled

    options   what was asked for: {"documents": [UUID, …], "cloud": true}
    cursor    where the next slice goes on; written together with what the last one found
    """

    class Kind(models.TextChoices):
        MAP = "map", _("map")
        QUESTIONS = "questions", _("questions and answers")
        PAIRS = "pairs", _("similar passages")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING, db_index=True)
    options = models.JSONField(default=dict)
    cursor = models.JSONField(default=dict)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(_("what went wrong"), blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    owner = models.CharField(max_length=80, blank=True)
    beat = models.DateTimeField(null=True)
    created = models.DateTimeField(_("asked for"), auto_now_add=True)
    finished = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-created"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        return f"{self.base} · {self.kind}"
