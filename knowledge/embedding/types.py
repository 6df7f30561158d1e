"""What every embedder offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:  # the web process reads this module and keeps 9 MB without numpy
    import numpy as np
    import numpy.typing as npt

Floats: TypeAlias = "npt.NDArray[np.float32]"


# Calls of `embed_passages` that indexing makes side by side, so that no core waits for the last text of a batch.
CALLS_AT_ONCE = 2


class Embedder(Protocol):
    """One object per process, safe to use from several threads.

    id            stable name, stored with each index generation: vectors of two ids never mix
    dimensions    length of a vector
    max_tokens    what is longer than this is cut by the embedder

    All vectors are float32 and L2-normalised. Methods raise EmbedderUnavailable, nothing of a vendor.
    """

    @property
    def id(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def embed_passages(self, texts: Sequence[str]) -> Floats:
        """(n, dimensions)"""
        ...

    def embed_query(self, text: str) -> Floats:
        """(dimensions,)"""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` as a passage; an estimate where the tokenizer is not at hand."""
        ...
