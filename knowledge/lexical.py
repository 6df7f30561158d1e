"""The lexical index: BM25 over words and character n-grams, in the SQL database beside the chunks.

Measured on the development sets (nDCG@10, mean of six sets in sv, nb, ko, en): whole words .748, words with
4-grams .865 (with 3-grams .850, with 5-grams .856), Hangul as 2-grams .961 against .823 as words. N-grams carry
Swedish compounds, inflection and Korean particles without a stemmer per language.

SQLite      FTS5 and its bm25(). The table keeps its terms, because deleting from a table without content needs
            SQLite 3.43, and Python on Debian 12 brings 3.40. About seven times the size of the text.
PostgreSQL  a tsvector with a GIN index. ts_rank_cd rewards nearness and knows no rarity, and any ts_rank has to
            fetch the whole vector of each hit (100 ms a query at 7,000 chunks). So BM25 is built from plain matches:
            a term that occurs twice is indexed as `term` and `term#2`, three times as `term#3`, too; a match adds
            what BM25 gains by that occurrence, times the length factor of the chunk, a column of its own.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

from django.db import connection

from . import database
from .entry_ids import best_of

_WORD = re.compile(r"[^\W_]+")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_HANGUL_OR_OTHER = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]+|[^\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]+")
# Scripts without blanks between words: two characters at a time, as for Hangul.
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_GRAM, _PAIR = 4, 2
_LONGEST_WORD = 40

# The cost of a query is about the sum of its terms' document counts. Without terms that over a quarter of the chunks
# hold, and with at most 40, nDCG@10 stays (.865 against .866) at a fifth of the cost.
MOST_TERMS = 40
COMMON_SHARE = 0.25
# In a large base the rarest terms decide: 20,000 matches took 12 ms (21,000 chunks).
MOST_MATCHES, LEAST_TERMS = 20_000, 8
COUNTED_SECONDS, MANY_CHUNKS = 10.0, 500
LEAST_COMMON = 20  # in a small base every term counts
MOST_QUERY_CHARACTERS = 2000
UNKNOWN_SHARE = 0.5  # a term that no chunk holds weighs half of the rarest one: it may be a typing error

# Words that carry no subject. A large base shows that by itself; in one of a few documents 'är' can be as rare as
# 'GROW', and would lead a Swedish question to any Swedish passage.
FUNCTION_WORDS = frozenset((Path(__file__).parent / "function_words.txt").read_text(encoding="utf-8").split())

TABLE = "knowledge_lexical"
VOCABULARY = "knowledge_lexical_terms"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is indexed of one chunk: its id (entry_ids.py), its splitting, and its text with title and headings."""

    chunk: int
    splitting: int
    text: str


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found.

    ranking   (chunk id, BM25), best first
    ceiling   about the BM25 of a chunk that holds every term of the query once: the share of it that a chunk
              reaches says how much of the question its words cover
    """

    ranking: tuple[tuple[int, float], ...] = ()
    ceiling: float = 0.0

    def share(self, score: float) -> float:
        """About 0 to 1.5; 1 in a base too small for rarity to mean anything."""
        return score / self.ceiling if self.ceiling > 0.01 else 1.0


Row = tuple[int | str | float, ...]


def terms(text: str) -> list[str]:
    """Terms in order, with repeats: `_word_` and the 4-grams of it, pairs of Hangul or CJK characters."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if not (_HANGUL.search(word) or _CJK.search(word)):
            found.extend(_grams(word))
            continue
        for part in _HANGUL_OR_OTHER.findall(word):
            found.extend(_pairs(part) if _HANGUL.match(part) or _CJK.search(part) else _grams(part))
    return found


def _grams(word: str) -> list[str]:
    marked = f"_{word[:_LONGEST_WORD]}_"
    return [marked] + [marked[at : at + _GRAM] for at in range(len(marked) - _GRAM + 1) if len(marked) > _GRAM]


def _pairs(part: str) -> list[str]:
    return [part] if len(part) < _PAIR else [part[at : at + _PAIR] for at in range(len(part) - _PAIR + 1)]


def rows(entries: Iterable[Entry]) -> list[Row]:
    """What `add` writes; takes 0.2 ms a chunk, so it is made before the transaction."""
    postgresql = connection.vendor == "postgresql"
    made: list[Row] = []
    for entry in entries:
        found = terms(entry.text)
        if postgresql:
            made.append((entry.chunk, entry.splitting, _length_factor(len(found)), _tsvector(found)))
        else:
            made.append((entry.chunk, f"s{entry.splitting}", " ".join(found)))
    return made


def add(made: Sequence[Row], *, fresh: bool = False) -> None:
    """Index chunks; call it in the transaction that writes them. A chunk that is there already is replaced.

    fresh    none of them can be there: their rows are new
    """
    if not fresh:
        remove([int(row[0]) for row in made])
    columns = (
        ("chunk_id", "splitting_id", "factor", "terms")
        if connection.vendor == "postgresql"
        else ("rowid", "splitting", "terms")
    )
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {TABLE} ({', '.join(columns)}) VALUES ({marks})", made)  # noqa: S608


def remove(chunks: Sequence[int]) -> None:
    """Forget chunks; unknown ids are no error."""
    column = "chunk_id" if connection.vendor == "postgresql" else "rowid"
    with connection.cursor() as cursor:
        for at in range(0, len(chunks), 500):
            some = chunks[at : at + 500]
            marks = ", ".join(["%s"] * len(some))
            cursor.execute(f"DELETE FROM {TABLE} WHERE {column} IN ({marks})", list(some))  # noqa: S608


def search(query: str, splittings: Sequence[int], k: int) -> Hits:
    """The best chunks of these splittings, at most k."""
    wanted = query_terms(query)
    if not wanted or not splittings:
        return Hits()
    postgresql = connection.vendor == "postgresql"
    chunks = _chunks()
    counts = (_counts_postgresql if postgresql else _counts_sqlite)(wanted)
    if not counts:
        return Hits()
    chosen = choose(counts, chunks)
    find = _find_postgresql if postgresql else _find_sqlite
    entries = find({term: rarity(counts[term], chunks) for term in chosen}, splittings, k)
    ranking = tuple(best_of(entries))  # an approved question stands for the passage it leads to
    unknown = UNKNOWN_SHARE * (len(wanted) - len(counts)) * rarity(0, chunks)
    return Hits(ranking, unknown + sum(rarity(counts[term], chunks) for term in chosen))


_counted: tuple[float, int] = (0.0, 0)


def _chunks() -> int:
    """How many there are; of many, as of a moment ago: counting goes through all of them."""
    global _counted
    until, chunks = _counted
    if time.monotonic() > until:
        [[chunks]] = database.rows("SELECT count(*) FROM knowledge_chunk", (), columns=1)
        _counted = (time.monotonic() + (COUNTED_SECONDS if chunks > MANY_CHUNKS else 0.0), chunks)
    return chunks


def query_terms(query: str) -> list[str]:
    """The terms of a question without its function words, unless it has no others."""
    all_words = words_of(query)
    words = [word for word in all_words if word not in FUNCTION_WORDS]
    return sorted(set(terms(" ".join(words or all_words))))


def words_of(query: str) -> list[str]:
    """The words of a question in small letters, with repeats."""
    return _WORD.findall(unicodedata.normalize("NFKC", query[:MOST_QUERY_CHARACTERS]).lower())


def rarity(count: int, chunks: int) -> float:
    """BM25's idf of a term that `count` of all `chunks` hold, never negative."""
    return max(0.0, log((chunks - count + 0.5) / (count + 0.5)))


def choose(counts: Mapping[str, int], chunks: int) -> list[str]:
    """The terms worth asking for, rarest first. counts: how many of all `chunks` hold each term."""
    rarest = sorted(counts, key=lambda term: (counts[term], -len(term), term))
    useful = [term for term in rarest if counts[term] <= max(LEAST_COMMON, COMMON_SHARE * chunks)]
    chosen: list[str] = []
    matches = 0
    for term in (useful or rarest)[:MOST_TERMS]:
        matches += counts[term]
        if matches > MOST_MATCHES and len(chosen) >= LEAST_TERMS:
            break
        chosen.append(term)
    return chosen


# --- SQLite --------------------------------------------------------------------------------------


def _counts_sqlite(wanted: Sequence[str]) -> dict[str, int]:
    marks = ", ".join(["%s"] * len(wanted))
    statement = f"SELECT term, doc FROM {VOCABULARY} WHERE col = 'terms' AND term IN ({marks})"  # noqa: S608
    return {term: count for term, count in database.rows(statement, wanted, columns=2)}


def _find_sqlite(chosen: Mapping[str, float], splittings: Sequence[int], k: int) -> tuple[tuple[int, float], ...]:
    cuts = " OR ".join(f"s{int(splitting)}" for splitting in splittings)
    words = " OR ".join(f'"{term}"' for term in chosen)
    statement = (
        f"SELECT rowid, -bm25({TABLE}, 0, 1) AS score FROM {TABLE} WHERE {TABLE} MATCH %s ORDER BY score DESC LIMIT %s"  # noqa: S608
    )
    found = database.rows(statement, [f"splitting : ({cuts}) AND terms : ({words})", k], columns=2)
    return tuple((row[0], float(row[1])) for row in found)


# --- PostgreSQL ----------------------------------------------------------------------------------

_COUNTS = """
SELECT term, (SELECT count(*) FROM knowledge_lexical WHERE terms @@ quote_literal(term)::tsquery)
FROM unnest(%s::text[]) AS term
"""
# OFFSET 0 keeps the planner from joining the other way round, which reads every vector for every term.
_RANKED = """
SELECT entry.chunk_id, sum(wanted.weight) * entry.factor AS score
FROM unnest(%s::text[], %s::float8[]) AS wanted(term, weight)
CROSS JOIN LATERAL (
    SELECT chunk_id, splitting_id, factor FROM knowledge_lexical
    WHERE terms @@ quote_literal(wanted.term)::tsquery OFFSET 0
) AS entry
WHERE entry.splitting_id = ANY(%s)
GROUP BY entry.chunk_id, entry.factor ORDER BY score DESC, entry.chunk_id LIMIT %s
"""
# What BM25 (k1 = 1.2) gains by the first, second … occurrence in a chunk of usual length.
_K1, _B, _USUAL_LENGTH = 1.2, 0.75, 450
_GAINS = tuple((_K1 + 1) * (n / (n + _K1) - (n - 1) / (n - 1 + _K1)) for n in (1, 2, 3, 4))


def _counts_postgresql(wanted: Sequence[str]) -> dict[str, int]:
    return {term: count for term, count in database.rows(_COUNTS, [list(wanted)], columns=2) if count}


def _find_postgresql(chosen: Mapping[str, float], splittings: Sequence[int], k: int) -> tuple[tuple[int, float], ...]:
    words = [_numbered(term, at) for at in range(len(_GAINS)) for term in chosen]
    weights = [max(rarity, 1e-6) * gain for gain in _GAINS for rarity in chosen.values()]
    found = database.rows(_RANKED, [words, weights, list(splittings), k], columns=2)
    return tuple((row[0], float(row[1])) for row in found)


def _tsvector(found: Sequence[str]) -> str:
    counts = Counter(found)
    return " ".join(f"'{_numbered(term, at)}'" for term, n in counts.items() for at in range(min(n, len(_GAINS))))


def _numbered(term: str, at: int) -> str:
    return term if at == 0 else f"{term}#{at + 1}"


def _length_factor(length: int) -> float:
    return (_K1 + 1) / (1 + _K1 * (1 - _B + _B * length / _USUAL_LENGTH))
