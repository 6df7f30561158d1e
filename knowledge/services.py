"""Writes of the knowledge app. Vectors are the worker's business: nothing here needs Chroma or an embedder.

Deleting removes a document from SQL at once and has the worker remove its vectors; a search drops those meanwhile
because they have no chunk any more, and the sweeper finds what is left. So a Chroma that is down never blocks an
admin.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import unicodedata
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from . import passages, wake
from .errors import BadName, KnowledgeError, NameTaken, NoFile, Refused, StillBusy, UnknownLanguage
from .loaders import archive, known_suffix
from .loaders.errors import Empty, LoadError, TooLarge
from .models import Document, IndexGeneration, KnowledgeBase, Splitting, document_path
from .splitting import splitter_id

State = Document.State
# Control and format characters: line breaks, and marks that turn the reading direction and hide an extension.
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_LONGEST_NAME, _LONGEST_TITLE = 255, 300
_READ_BYTES = 1024 * 1024


def create_base(*, name: str, slug: str = "", description: str = "") -> KnowledgeBase:
    """Raises BadName or NameTaken."""
    name = clean_name(name)
    slug = slugify(slug or name, allow_unicode=False) or slugify(slug or name, allow_unicode=True)
    if not name or not re.fullmatch(r"[-a-zA-Z0-9_]{1,60}", slug[:60]):
        slug = f"base-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if name else ""
    if not slug:
        raise BadName
    try:
        with transaction.atomic():
            return KnowledgeBase.objects.create(name=name[:200], slug=slug[:60], description=description)
    except IntegrityError:
        raise NameTaken from None


def add_document(
    *,
    base: KnowledgeBase,
    filename: str,
    content: IO[bytes],
    uploaded_by: Any = None,
    language: str = "",
    title: str = "",
    starter: str = "",
    url: str = "",
    beside: Collection[UUID] = (),
) -> tuple[Document, bool]:
    """Store a file, pending. (document, False) when the base has the same bytes already.

    A document that failed or was cancelled is queued again. Other bytes under the file name, language and address of
    one document that is there are its new version: `replaces`, which goes when this one is searchable.

    url       where it was fetched
    beside    documents of the same upload: files of one name in one upload are different files
    The edge wakes the worker after the commit.
    Raises Refused (wrong_type, empty, too_large) or NoFile; nothing is stored then.
    """
    name = clean_filename(filename)
    if not name:
        raise NoFile
    try:
        known_suffix(name)
        with tempfile.SpooledTemporaryFile(max_size=_READ_BYTES) as copy:
            digest, size = _copy(content, copy)
            document = Document(
                base=base,
                title=(clean_name(title) or Path(name).stem)[:_LONGEST_TITLE],
                filename=name,
                language=language,
                starter=starter,
                sha256=digest,
                bytes=size,
                uploaded_by=uploaded_by,
                url=url,
            )
            document.replaces = _older(document, beside)
            return _store(document, copy)
    except LoadError as error:
        raise Refused(error) from error


def add_documents(
    *,
    base: KnowledgeBase,
    files: Sequence[tuple[str, IO[bytes]]],
    uploaded_by: Any = None,
    language: str = "",
    url: str = "",
    beside: Collection[UUID] = (),
) -> list[Document]:
    """Store several files (name, content), all or none; a zip file gives a document for each file in it.

    url, beside    as of `add_document`: what was uploaded together in several calls

    Raises as `add_document`, Refused with the codes of loaders/archive.py, and UnknownLanguage.
    """
    if language and language not in dict(settings.LANGUAGES):
        raise UnknownLanguage
    added: list[tuple[Document, bool]] = []
    try:
        for filename, content in unpacked(files):
            added.append(
                add_document(
                    base=base,
                    filename=filename,
                    content=content,
                    uploaded_by=uploaded_by,
                    language=language,
                    url=url,
                    beside={*beside, *(document.pk for document, _ in added)},
                )
            )
    except KnowledgeError:
        for document, created in added:
            if created:
                delete_document(document_id=document.pk)
        raise
    return [document for document, _ in added]


def _older(document: Document, beside: Collection[UUID]) -> Document | None:
    """The document of which this one is a new version; None when there is none, or more than one it could be."""
    same = Document.objects.filter(
        base=document.base_id,
        filename=document.filename,
        language=document.language,
        starter=document.starter,
        url=document.url,
        newer=None,
    ).exclude(sha256=document.sha256)
    found = list(same[:2])
    return found[0] if len(found) == 1 and found[0].pk not in beside else None


def unpacked(files: Iterable[tuple[str, IO[bytes]]]) -> Iterator[tuple[str, IO[bytes]]]:
    """The files with each zip file replaced by what is in it; read one before asking for the next. Raises Refused."""
    try:
        for filename, content in files:
            yield from archive.expand(clean_filename(filename), content, settings.DOCUMENT_MAX_BYTES)
    except LoadError as error:
        raise Refused(error) from error


def _copy(content: IO[bytes], copy: IO[bytes]) -> tuple[str, int]:
    """SHA-256 and size. Raises Empty or TooLarge."""
    digest, size = hashlib.sha256(), 0
    while block := content.read(_READ_BYTES):
        size += len(block)
        if size > settings.DOCUMENT_MAX_BYTES:
            raise TooLarge
        digest.update(block)
        copy.write(block)
    if not size:
        raise Empty
    return digest.hexdigest(), size


def _store(document: Document, copy: IO[bytes]) -> tuple[Document, bool]:
    path = document_path(document, document.filename)
    if not default_storage.exists(path):
        copy.seek(0)
        path = default_storage.save(path, File(copy))
    document.file.name = path
    try:
        with transaction.atomic():
            document.save(force_insert=True)
    except IntegrityError:
        found = Document.objects.get(base=document.base_id, sha256=document.sha256)
        if found.file.name != path:
            default_storage.delete(path)  # two uploads of the same new file at once
        if found.state in (State.FAILED, State.CANCELLED):
            retry(document_id=found.pk)
            found.refresh_from_db()
        return found, False
    return document, True


def retry(*, document_id: UUID) -> None:
    """Queue a failed or cancelled document again. Raises StillBusy for any other state."""
    changed = Document.objects.filter(pk=document_id, state__in=(State.FAILED, State.CANCELLED)).update(
        state=State.PENDING, error_code="", error="", attempts=0, chunks_done=0, lease_owner="", lease_until=None
    )
    if not changed:
        raise StillBusy


def cancel(*, document_id: UUID) -> None:
    """Stop a document that waits or is being read; the worker notices within about a second. Raises StillBusy."""
    waiting = (State.PENDING, State.PROCESSING)
    with transaction.atomic():
        changed = Document.objects.filter(pk=document_id, state__in=waiting).update(
            state=State.CANCELLED, lease_owner="", lease_until=None
        )
        if not changed:
            raise StillBusy
        remove_chunks(document_id=document_id)


def remove_chunks(*, document_id: UUID) -> None:
    """Take a document's passages out of every index; call it inside a transaction."""
    entries = passages.remove(document_id=document_id)
    if entries:
        generations = IndexGeneration.objects.filter(base__documents=document_id).order_by()
        wake.forget_later(list(generations.values_list("collection", flat=True)), entries)
    Document.objects.filter(pk=document_id).update(chunks_total=0, chunks_done=0)


def delete_document(*, document_id: UUID) -> None:
    """Remove a document, its passages and, when no other document needs it, its file; none there is no error."""
    with transaction.atomic():
        document = Document.objects.select_for_update().filter(pk=document_id).first()
        if document is None:
            return
        remove_chunks(document_id=document.pk)
        Document.objects.filter(replaces=document).update(replaces=document.replaces_id)
        name = document.file.name
        document.delete()
        transaction.on_commit(lambda: _delete_unused_file(name or ""))


def retire_replaced(*, document_id: UUID) -> None:
    """Remove the older versions of a document that is ready."""
    newer = Document.objects.filter(pk=document_id, state=State.READY, replaces__isnull=False)
    # Deleting one leaves the version before it in its place.
    while (older := newer.values_list("replaces", flat=True).first()) is not None:
        delete_document(document_id=older)


def retire_all_replaced() -> None:
    """Remove what a worker that was killed in the last moment has left."""
    for pk in Document.objects.filter(state=State.READY, replaces__isnull=False).values_list("pk", flat=True):
        retire_replaced(document_id=pk)


def _delete_unused_file(name: str) -> None:
    if name and not Document.objects.filter(file=name).exists():
        default_storage.delete(name)


def delete_base(*, base_id: int) -> list[str]:
    """Remove a base with all its documents; gives the Chroma collections that the sweeper will drop."""
    collections = list(IndexGeneration.objects.filter(base=base_id).values_list("collection", flat=True))
    for document_id in Document.objects.filter(base=base_id).values_list("pk", flat=True):
        delete_document(document_id=document_id)
    KnowledgeBase.objects.filter(pk=base_id).delete()
    return collections


def live_generation(*, base: KnowledgeBase, embedder: str, dimensions: int) -> IndexGeneration:
    """The base's live generation; a base without one gets it, for this embedder."""
    found = IndexGeneration.objects.filter(base=base, state=IndexGeneration.State.LIVE).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return IndexGeneration.objects.create(
                base=base,
                splitting=Splitting.objects.get_or_create(base=base, splitter=splitter_id(embedder))[0],
                embedder=embedder,
                dimensions=dimensions,
                collection=f"kb{base.pk}-{uuid.uuid4().hex[:12]}",
                state=IndexGeneration.State.LIVE,
                live_since=timezone.now(),
            )
    except IntegrityError:  # another worker was faster
        return IndexGeneration.objects.get(base=base, state=IndexGeneration.State.LIVE)


def clean_filename(filename: str) -> str:
    """The last part of a path of any system, without invisible characters, at most 255 characters with its suffix."""
    name = clean_name(PureWindowsPath(filename.replace("\x00", "")).name).strip(". ")
    suffix = Path(name).suffix
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - len(suffix)] + suffix


def clean_name(text: str) -> str:
    """NFC, without control characters and direction marks, blanks joined."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(character for character in text if unicodedata.category(character) not in _INVISIBLE).strip()
