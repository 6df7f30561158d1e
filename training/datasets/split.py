"""Which examples are held out: whole conversations, and whole families of nearly the same questions or answers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence


class Families:
    """Places that belong together, directly or through others (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def join(self, one: int, other: int) -> None:
        self._parent[self._root(other)] = self._root(one)

    def all(self) -> list[list[int]]:
        found: defaultdict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parent)):
            found[self._root(place)].append(place)
        return list(found.values())

    def _root(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place


def held_out(
    conversations: Sequence[str], same: Iterable[tuple[int, int]], *, share: float, seed: int
) -> frozenset[int]:
    """Places of examples to hold out: about `share` of all, never more than half, at least one family if there are two.

    conversations   of each example; same: pairs of places that say nearly the same
    """
    families = Families(len(conversations))
    first: dict[str, int] = {}
    for place, conversation in enumerate(conversations):
        families.join(first.setdefault(conversation, place), place)
    for one, other in same:
        families.join(one, other)
    groups = families.all()
    if share <= 0 or len(groups) < 2:
        return frozenset()
    groups.sort(key=lambda group: _lot(seed, conversations[group[0]], group[0]))
    wanted = max(1, round(share * len(conversations)))
    found: list[int] = []
    for group in groups:
        if len(found) + len(group) <= wanted:
            found += group
    return frozenset(found or sorted(groups, key=lambda group: (len(group), group))[0])


def _lot(seed: int, conversation: str, place: int) -> str:
    return hashlib.sha256(f"{seed}:{conversation}:{place}".encode()).hexdigest()
