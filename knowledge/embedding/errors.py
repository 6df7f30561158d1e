"""Errors of the embedding layer. Callers never see a vendor's exception."""


class EmbedderUnavailable(Exception):
    """The chosen embedder cannot be used on this machine; the message is one plain sentence that says why.

    The package or its weights are missing, or the weights could not be prepared or opened.
    """
