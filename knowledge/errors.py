"""What the knowledge app refuses or cannot do; edges turn it into `{"code", "message"}` with the status.

KnowledgeError            code                 status
├── NotFound              not_found            404
├── Forbidden             forbidden            403
├── NameTaken             name_taken           409
├── BadName               bad_name             422
├── NoFile                no_file              422
├── UnknownLanguage       unknown_language     422
├── Refused               of loaders/errors.py 413 when too large, else 422
├── StillBusy             busy                 409    cannot be retried or cancelled now
├── IndexUnavailable      index_unavailable    503    Chroma does not answer
└── SearchUnavailable     search_unavailable   503    no process that searches answers
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from .loaders.errors import LoadError


class KnowledgeError(Exception):
    """`message` is one plain sentence in the active language."""

    code = "error"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        return str(self)


class NotFound(KnowledgeError):
    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__(_("This was not found."))


class Forbidden(KnowledgeError):
    code = "forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__(_("Only staff may do this."))


class NameTaken(KnowledgeError):
    code = "name_taken"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("A knowledge base with this short name exists already; choose another."))


class BadName(KnowledgeError):
    code = "bad_name"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("Give the knowledge base a name that holds at least one letter or digit."))


class NoFile(KnowledgeError):
    code = "no_file"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("Choose at least one file."))


class UnknownLanguage(KnowledgeError):
    code = "unknown_language"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("This language is not known; use en, sv, nb or ko, or leave it out."))


class Refused(KnowledgeError):
    """A file that is refused at the door."""

    def __init__(self, reason: LoadError) -> None:
        super().__init__(reason.message)
        self.code = reason.code
        self.status = 413 if reason.code == "too_large" else 422


class StillBusy(KnowledgeError):
    code = "busy"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("The document is not in a state in which this can be done."))


class IndexUnavailable(KnowledgeError):
    code = "index_unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(_("The vector index does not answer; check that Chroma is running."))


class SearchUnavailable(KnowledgeError):
    code = "search_unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__(_("The search does not answer just now; check that a turn runner is running."))
