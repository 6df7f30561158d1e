"""Errors of fetching a model file; each message is one sentence for the person who waits for it.

DownloadError             code          status
├── NoNetwork             no_network    503   the source cannot be reached from here (or COACH_OFFLINE forbids to try)
├── NoSource              no_source     404   the source does not have the file
├── NotEnoughDisk         disk          507   needed and free bytes are in the sentence
├── AlreadyFetching       fetching      409   another process fetches this file just now
└── DownloadBroken        broken        502   not the file its makers published
    └── DownloadCut       cut           502   cut off again and again; what came is kept

Paused and Cancelled are no errors: whoever watches the progress raises them to end a download that goes on later.
"""


class DownloadError(Exception):
    """Base of all errors of this package; `code` is stable and goes over the wire."""

    code = "download"
    status = 502


class NoNetwork(DownloadError):
    code = "no_network"
    status = 503


class NoSource(DownloadError):
    code = "no_source"
    status = 404


class NotEnoughDisk(DownloadError):
    code = "disk"
    status = 507


class AlreadyFetching(DownloadError):
    code = "fetching"
    status = 409


class DownloadBroken(DownloadError):
    code = "broken"


class DownloadCut(DownloadBroken):
    code = "cut"


class Paused(Exception):
    """The time of this slice is over; the next one goes on from here."""


class Cancelled(Exception):
    """A person does not want it any more; what came is kept for another time."""
