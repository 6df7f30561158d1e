"""Cohen's kappa: how far two raters agree beyond what chance would give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """1 is full agreement, 0 that of chance; None without pairs, or when both only ever say the same one thing.

    (Cohen 1960: (observed - expected) / (1 - expected).)
    """
    if not pairs:
        return None
    observed = sum(one == other for one, other in pairs) / len(pairs)
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    expected = sum(first[name] * second[name] for name in first) / len(pairs) ** 2
    return None if expected >= 1 else (observed - expected) / (1 - expected)
