"""What the knowledge app refuses or cannot do; edges turn it into `{"code", "message"}` with the status.

KnowledgeError            code                 status
├── NotFound              not_found            404
├── Forbidden             forbidden            403
├── NameTaken             name_taken           409
├── BadName               bad_name             422
├── NoFile                no_file              422
├── UnknownLanguage       unknown_language     422
├── Refused               of loaders/errors.py 413 when too large, else 422
├── AddressesOff          addresses_off        403    COACH_URL_INGEST is not set, or the coach is offline
├── AddressRefused        address_refused      422    not http(s), not allowed, or inside a network
├── AddressFailed         address_failed       502    nothing usable came from there
├── StillBusy             busy                 409    cannot be retried or cancelled now
├── UnknownEmbedder       unknown_embedder     422
├── AlreadyBuilding       already_building     409
├── WrongState            wrong_state          409    an index generation that cannot be switched, cancelled, removed
├── BelowLive             below_live           409    finds less than the live one; an admin may override
├── NothingBefore         nothing_before       409    no retired generation to go back to
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


class AddressesOff(KnowledgeError):
    code = "addresses_off"
    status = 403

    def __init__(self) -> None:
        super().__init__(_("Documents from the web are switched off here; upload the file instead."))


class AddressRefused(KnowledgeError):
    code = "address_refused"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("This address may not be fetched; give one of the open web that starts with https://."))


class AddressFailed(KnowledgeError):
    code = "address_failed"
    status = 502

    def __init__(self) -> None:
        super().__init__(_("No document could be fetched from this address; check it, or upload the file instead."))


class StillBusy(KnowledgeError):
    code = "busy"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("The document is not in a state in which this can be done."))


class UnknownEmbedder(KnowledgeError):
    """`reason` is what the registry says about the id."""

    code = "unknown_embedder"
    status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class AlreadyBuilding(KnowledgeError):
    code = "already_building"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("A new index of this knowledge base is on its way; wait for it or cancel it."))


class WrongState(KnowledgeError):
    code = "wrong_state"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("The index is not in a state in which this can be done."))


class BelowLive(KnowledgeError):
    code = "below_live"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("This index finds less than the live one; go on only if you have looked at the questions."))


class NothingBefore(KnowledgeError):
    code = "nothing_before"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("There is no earlier index to go back to."))


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
