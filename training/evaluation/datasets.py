"""Reading evaluation data: BEIR folders, and question/contexts/answers as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BadDataset

ANSWERABLE_FIELDS = ("question", "answerable")


@dataclass(frozen=True, slots=True)
class Text:
    """A document of a corpus, or a context of a question."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """A BEIR folder.

    queries    id → text; only those that have a judgement
    qrels      query id → {document id: gain}
    """

    name: str
    corpus: Sequence[Text]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """A question with the passages it is to be answered from.

    answers    any of them is right; none for a question that the passages do not answer
    gold       id of the context with the answer, '' when there is none
    """

    id: str
    set: str
    language: str
    question: str
    contexts: Sequence[Text]
    answers: Sequence[str]
    gold: str
    answerable: bool


def retrieval_sets(folder: Path) -> list[Path]:
    """The BEIR folders in `folder`, or itself. Raises BadDataset."""
    if (folder / "corpus.jsonl").is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/corpus.jsonl"))
    if not found:
        raise BadDataset(f"{folder} holds no corpus.jsonl, nor does a folder in it.")
    return found


def read_retrieval_set(folder: Path, field: str = "text") -> RetrievalSet:
    """field: what of a query is asked ('text_en'). Raises BadDataset."""
    qrels = _qrels(folder)
    corpus = [
        Text(str(_need(row, "_id")), str(row.get("title") or ""), str(row.get("text") or ""))
        for row in _lines(folder / "corpus.jsonl")
    ]
    queries = {}
    for row in _lines(folder / "queries.jsonl"):
        id_ = str(_need(row, "_id"))
        if id_ in qrels:
            queries[id_] = str(_need(row, field))
    if not queries or not corpus:
        raise BadDataset(f"{folder} has no question with a judgement.")
    return RetrievalSet(folder.name, corpus, queries, qrels)


def has_field(folder: Path, field: str) -> bool:
    """True when every query has it."""
    return all(row.get(field) for row in _lines(folder / "queries.jsonl"))


def _qrels(folder: Path) -> dict[str, dict[str, float]]:
    """Of all files of qrels/: tab-separated, with or without a header, in three columns or the four of TREC."""
    files = sorted((folder / "qrels").glob("*.tsv"))
    if not files:
        raise BadDataset(f"{folder / 'qrels'} holds no .tsv file.")
    found: dict[str, dict[str, float]] = {}
    for path in files:
        for number, line in enumerate(_read(path).splitlines()):
            cells = line.split("\t")
            if len(cells) == 4:
                del cells[1]
            try:
                query, document, gain = cells[0], cells[1], float(cells[2])
            except (IndexError, ValueError):
                if number == 0 or not line.strip():
                    continue
                raise BadDataset(f"{path}, line {number + 1}: not a question, a document and a number.") from None
            if gain > 0:
                found.setdefault(query, {})[document] = gain
    return found


def answer_files(place: Path) -> list[Path]:
    """The .jsonl files of a folder, or the one. Raises BadDataset."""
    found = [place] if place.is_file() else sorted(place.glob("*.jsonl"))
    if not found:
        raise BadDataset(f"{place} is no file and holds no .jsonl file.")
    return found


def read_cases(path: Path) -> list[Case]:
    """Questions with several `contexts` or one `context`. Raises BadDataset."""
    return [_case(path.stem, number, row) for number, row in enumerate(_lines(path), start=1)]


def _case(name: str, number: int, row: Mapping[str, Any]) -> Case:
    for field in ANSWERABLE_FIELDS:
        _need(row, field)
    answerable = bool(row["answerable"])
    if "contexts" in row:
        contexts = [
            Text(str(_need(one, "id")), str(one.get("title") or ""), str(one.get("text") or ""))
            for one in row["contexts"]
        ]
        gold = str(row.get("gold_context_id") or "")
    else:
        only = str(row.get("context_id") or f"context-{number}")
        contexts = [Text(only, str(row.get("title") or ""), str(_need(row, "context")))]
        gold = only
    return Case(
        id=str(row.get("id") or row.get("_id") or f"{name}-{number}"),
        set=name,
        language=_language(row, name),
        question=str(row["question"]),
        contexts=contexts,
        answers=tuple(str(answer) for answer in row.get("answers") or ()),
        gold=gold if answerable and any(one.id == gold for one in contexts) else "",
        answerable=answerable,
    )


def _language(row: Mapping[str, Any], name: str) -> str:
    """As the row says, else as the file's name ends ('squadv2_sv'), else ''."""
    given = str(row.get("lang") or row.get("language") or name.rpartition("_")[2]).lower()[:2]
    return {"no": "nb", "nn": "nb"}.get(given, given) if given in ("en", "sv", "nb", "no", "nn", "ko") else ""


def _need(row: Mapping[str, Any], field: str) -> Any:
    if row.get(field) is None:
        raise BadDataset(f"A line has no {field!r}: {json.dumps(row, ensure_ascii=False)[:120]}")
    return row[field]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise BadDataset(f"{path}, line {number}: not a JSON object.")
        yield row


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f"{path} cannot be read: {error}") from error
