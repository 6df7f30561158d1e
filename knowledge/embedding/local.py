"""The default embedder with this installation's cache folder."""

from __future__ import annotations

from django.conf import settings

from . import e5
from .types import Embedder


def e5_small(_name: str) -> Embedder:
    """multilingual-e5-small; converts its weights on first use (about three seconds). Raises EmbedderUnavailable."""
    return e5.load(settings.CACHE_DIR)
