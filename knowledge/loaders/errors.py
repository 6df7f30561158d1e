"""Why a file could not be read. Codes are stable and stored with the document.

    LoadError                code                what the person can do
    ├── WrongType            wrong_type          content and extension disagree, or no loader for it
    ├── Empty                empty               no bytes, or only blanks
    ├── Encrypted            encrypted           a password is needed
    ├── NoText               no_text             nothing to read in it: scanned pages, pictures
    ├── TooLarge             too_large           more bytes than DOCUMENT_MAX_BYTES
    ├── TooLargeInside       too_large_inside    unpacks to far more than its size: a zip bomb, or an enormous text
    ├── NestedArchive        nested_archive      a zip file within a zip file
    ├── UnsafeArchive        unsafe_archive      a zip file with names that lead out of it
    ├── TooManyFiles         too_many_files      a zip file with more files than may be added at once
    ├── NothingInside        nothing_inside      a zip file without any file of a known type
    ├── Damaged              damaged             right type, but it cannot be parsed
    ├── TimedOut             timeout             more time than the sandbox gives
    └── OutOfMemory          out_of_memory       more memory than the sandbox gives

The child process raises these without Django; sentences are translated where they are shown.
"""

from __future__ import annotations


def _(text: str) -> str:
    """Marks a sentence for makemessages; `LoadError.message` translates it."""
    return text


class LoadError(Exception):
    """`sentence` is English and translatable: one plain sentence of what happened and what to do."""

    code = "damaged"
    sentence = _("The file could not be read; save it again from the program that made it and upload that.")

    def __str__(self) -> str:
        return self.sentence

    @property
    def message(self) -> str:
        """The sentence in the active language."""
        # The child process has no Django: only who shows an error needs gettext.
        from django.utils.translation import gettext

        return gettext(self.sentence)


class WrongType(LoadError):
    code = "wrong_type"
    sentence = _(
        "The file is not what its name says, or not of a known type; upload a real PDF, Word (.docx), PowerPoint "
        "(.pptx), Excel (.xlsx), OpenDocument (.odt), EPUB, e-mail (.eml), CSV, HTML, Markdown, text or subtitle "
        "(.srt, .vtt) file, or a zip file of these."
    )


class Empty(LoadError):
    code = "empty"
    sentence = _("The file is empty; check that you chose the right one.")


class Encrypted(LoadError):
    code = "encrypted"
    sentence = _("The file is protected by a password; save a copy without one and upload that.")


class NoText(LoadError):
    code = "no_text"
    sentence = _(
        "No text was found in the file, perhaps because it holds scanned pages; run text recognition (OCR) on it first."
    )


class TooLarge(LoadError):
    code = "too_large"
    sentence = _("The file is too large; split it into smaller ones.")


class TooLargeInside(LoadError):
    code = "too_large_inside"
    sentence = _("The file unpacks to far more than its size; remove its pictures or split it, and upload that.")


class NestedArchive(LoadError):
    code = "nested_archive"
    sentence = _("The zip file holds another zip file; unpack that one first.")


class UnsafeArchive(LoadError):
    code = "unsafe_archive"
    sentence = _("The zip file holds names that lead to places outside of it; pack the plain files anew.")


class TooManyFiles(LoadError):
    code = "too_many_files"
    sentence = _("The zip file holds too many files; split it into smaller ones.")


class NothingInside(LoadError):
    code = "nothing_inside"
    sentence = _("The zip file holds no file of a known type; put documents into it.")


class NoPage(LoadError):
    code = "no_page"
    sentence = _("The document has no such page.")


class Damaged(LoadError):
    pass


class TimedOut(LoadError):
    code = "timeout"
    sentence = _("Reading the file took too long; split it into smaller ones.")


class OutOfMemory(LoadError):
    code = "out_of_memory"
    sentence = _("Reading the file took too much memory; split it into smaller ones.")


BY_CODE: dict[str, type[LoadError]] = {error.code: error for error in LoadError.__subclasses__()}
