"""A knowledge base that leaves no trace: the application's own splitter, words, vectors and SQL, in temporary tables.

A temporary table hides the one of the same name from its connection, in SQLite and in PostgreSQL. So `lexical` and
`retrieval` run here as they are, on tables that nobody else sees and that go with the connection; the admin's bases
are neither read nor written. Everything stays in one thread, because the tables belong to its connection.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from django.db import connection
from django.db.backends.utils import CursorWrapper

from knowledge import lexical, retrieval
from knowledge.embedding.types import Embedder, Floats
from knowledge.loaders.types import TextBuilder
from knowledge.splitting import passage_text, split
from knowledge.types import LiveIndex

from .datasets import Text
from .errors import EvaluationError

R = TypeVar("R")
_NAMES = uuid.UUID("6f1f6a2e-4c0b-4f0e-9a35-1f6a5f0d0a11")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of a document: `indexed` is what is embedded and searched for words; place: start, end, tokens."""

    document: str
    position: int
    title: str
    text: str
    headings: tuple[str, ...]
    indexed: str
    place: tuple[int, int, int]


def cut(corpus: Sequence[Text], embedder: Embedder) -> list[Piece]:
    """The chunks of a corpus in order, as uploading each document as a text file would give them."""
    pieces: list[Piece] = []
    for document in corpus:
        builder = TextBuilder()
        builder.add(document.text or document.title)
        if not (document.text or document.title).strip():
            continue
        for position, draft in enumerate(split(builder.finish(document.title), embedder.count_tokens)):
            indexed = passage_text(document.title, draft.headings, draft.text)
            place = draft.start, draft.end, draft.tokens
            pieces.append(Piece(document.id, position, document.title, draft.text, draft.headings, indexed, place))
    return pieces


class Workspace:
    """The store that searches look into: one knowledge base for each `add`.

    base            its number, of the base, the splitting and the collection alike
    document_of     the corpus id of a passage's document
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="evaluation")
        self._vectors: dict[str, tuple[np.ndarray[Any, np.dtype[np.int64]], Floats]] = {}
        self._chunks = itertools.count(1)
        self._bases = itertools.count(1)
        self._documents: dict[str, str] = {}

    def open(self) -> None:
        """Raises EvaluationError when the database was never migrated."""
        self._thread.submit(_make_tables).result()

    def close(self) -> None:
        self._thread.submit(lambda: connection.close()).result()  # that of the thread
        self._thread.shutdown()

    def add(self, pieces: Sequence[Piece], vectors: Floats, languages: Mapping[str, str] | None = None) -> int:
        """A base of these chunks; gives its number. vectors: float32 (n, dimensions); languages: by document."""
        base = next(self._bases)
        ids = [next(self._chunks) for _ in pieces]
        documents = {piece.document: str(uuid.uuid5(_NAMES, f"{base}/{piece.document}")) for piece in pieces}
        self._documents.update({made: given for given, made in documents.items()})
        self._thread.submit(_write, base, ids, pieces, documents, languages or {}).result()
        self._vectors[str(base)] = np.array(ids, np.int64), np.ascontiguousarray(vectors)
        return base

    def document_of(self, document: str) -> str:
        return self._documents[document]

    async def live(self, bases: Sequence[int]) -> list[LiveIndex]:
        return [LiveIndex(base, base, base, self._embedder.id, str(base)) for base in bases]

    async def nearest(self, collection: str, vector: Floats, k: int) -> tuple[list[int], Floats]:
        """Exactly, where Chroma's graph is nearly so."""
        ids, vectors = self._vectors[collection]
        cosines = vectors @ vector
        first = np.argpartition(-cosines, k)[:k] if k < len(cosines) else np.arange(len(cosines))
        return ids[first].tolist(), vectors[first]

    async def in_database(self, function: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


@contextmanager
def workspace(embedder: Embedder) -> Iterator[Workspace]:
    """Every search inside looks into it."""
    made = Workspace(embedder)
    try:
        made.open()
        with retrieval.searching(made):
            yield made
    finally:
        made.close()


_TABLES = ("knowledge_chunk", "knowledge_document")
_NO_TABLES = "The database has no tables yet; run `python manage.py migrate` first."


def _make_tables() -> None:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        if not set(_TABLES) <= set(names):
            raise EvaluationError(_NO_TABLES)
        for statement in _POSTGRESQL if connection.vendor == "postgresql" else _sqlite_statements(cursor):
            cursor.execute(statement)


# Without constraints: the rows they would point to are not there, nor most of their values.
_POSTGRESQL = (
    *(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM public.{name} WITH NO DATA" for name in _TABLES),  # noqa: S608
    *(f"ALTER TABLE pg_temp.{name} ADD PRIMARY KEY (id)" for name in _TABLES),
    "CREATE TEMPORARY TABLE knowledge_lexical (LIKE public.knowledge_lexical INCLUDING INDEXES INCLUDING STORAGE)",
)


def _sqlite_statements(cursor: CursorWrapper) -> list[str]:
    cursor.execute("SELECT sql FROM main.sqlite_master WHERE name = 'knowledge_lexical'")
    lexical_table = cursor.fetchone()[0].replace("knowledge_lexical", "temp.knowledge_lexical", 1)
    columns = {table: ", ".join(_columns(cursor, table)) for table in _TABLES}
    return [
        *(f"CREATE TEMPORARY TABLE {table} ({names}, PRIMARY KEY (id))" for table, names in columns.items()),
        lexical_table,
        "CREATE VIRTUAL TABLE temp.knowledge_lexical_terms USING fts5vocab(temp, knowledge_lexical, 'col')",
    ]


def _columns(cursor: CursorWrapper, table: str) -> list[str]:
    cursor.execute(f"SELECT name, type FROM pragma_table_info('{table}')")  # noqa: S608 - our own names
    # An integer key in the table's own b-tree: chunks are read by it.
    return [f'"{name}" {"integer" if (name, table) == ("id", "knowledge_chunk") else type_}' for name, type_ in cursor]


def _write(
    base: int, ids: Sequence[int], pieces: Sequence[Piece], documents: Mapping[str, str], languages: Mapping[str, str]
) -> None:
    titles = {piece.document: piece.title for piece in pieces}
    with connection.cursor() as cursor:
        _insert(
            cursor,
            "knowledge_document",
            ("id", "base_id", "title", "filename", "language", "chunks_total"),
            [
                (_uuid(made), base, titles[given], f"{given}.txt", languages.get(given, ""), 1)
                for given, made in documents.items()
            ],
        )
        _insert(
            cursor,
            "knowledge_chunk",
            ("id", "document_id", "splitting_id", "position", "page", "headings", "text", "start", "end", "tokens"),
            [
                (chunk, _uuid(documents[p.document]), base, p.position, None, json.dumps(p.headings), p.text, *p.place)
                for chunk, p in zip(ids, pieces, strict=True)
            ],
        )
    rows = lexical.rows(lexical.Entry(chunk, base, piece.indexed) for chunk, piece in zip(ids, pieces, strict=True))
    lexical.add(rows, fresh=True)


def _insert(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 - our own names


def _uuid(text: str) -> str:
    """As each database stores it."""
    return text if connection.vendor == "postgresql" else text.replace("-", "")
