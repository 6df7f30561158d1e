"""Errors of fetching a model file; each message is one sentence for the person who waits for it.

DownloadError
├── NoNetwork         the source cannot be reached from here (or COACH_OFFLINE forbids to try)
├── NoSource          the source does not have the file
├── NotEnoughDisk     needed and free bytes are in the sentence
└── DownloadBroken    cut off again and again, or not the file its makers published
"""


class DownloadError(Exception):
    """Base of all errors of this package."""


class NoNetwork(DownloadError):
    pass


class NoSource(DownloadError):
    pass


class NotEnoughDisk(DownloadError):
    pass


class DownloadBroken(DownloadError):
    pass
