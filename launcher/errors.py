"""The launcher's one error type."""


class StartError(Exception):
    """The start cannot go on; the message is one plain sentence that says what happened and what to do."""
