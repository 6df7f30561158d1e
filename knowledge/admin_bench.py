"""The test bench of the search: what each stage found for a question, and why a passage was or was not chosen.

The web process has no embedder: it asks a turn runner, as the search of the REST API does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from . import search_channel
from .admin_frame import base_or_404, base_tabs, panel_page
from .errors import KnowledgeError
from .models import Chunk, IndexGeneration, KnowledgeBase

K, MOST_K = 5, 20
MOST_SHOWN = 25
MOST_CHARACTERS = 2000
Span = tuple[int, int]
LIVE = IndexGeneration.State.LIVE
STAGES = {
    "embed": gettext_lazy("embed the question"),
    "dense": gettext_lazy("by meaning"),
    "lexical": gettext_lazy("by words"),
    "load": gettext_lazy("fuse"),
    "rerank": gettext_lazy("rerank"),
}
SCORES = ("dense", "lexical", "rerank")
DEGRADED = {
    "dense_unavailable": gettext_lazy("The search by meaning did not answer: only words were searched."),
    "dense_private": gettext_lazy("The embedder is in a cloud and was not asked: only words were searched."),
}
RERANKED = {
    "rerank_failed": gettext_lazy("The reranker failed: the order is the one without it."),
    "rerank_late": gettext_lazy("The reranker took too long: the order is the one without it."),
}
# Codes of choosing.py; what is not here is shown as it is.
WHY = {
    "place": gettext_lazy("others were better"),
    "repeats": gettext_lazy("says the same as a better one"),
    "joined": gettext_lazy("joined to its neighbour"),
    "translation": gettext_lazy("of an article in several languages"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """What the form asks. `one` and `other` are the generations to search in; None: the live ones of `bases`."""

    text: str
    bases: Sequence[int]
    language: str
    k: int
    one: IndexGeneration | None
    other: IndexGeneration | None


@dataclass(frozen=True, slots=True)
class Score:
    """`percent` of the best score of its stage."""

    value: float
    rank: int | None
    percent: int


@dataclass(frozen=True, slots=True)
class Line:
    """A candidate. `rank` among the chosen ones, 0 for one that was left out; `other`: its rank on the other side,
    None when there is no other side; `joined`: of so many passages."""

    rank: int
    chunk: int
    document: str
    title: str
    location: str
    text: str
    fused: float
    scores: Sequence[Score | None]
    why: str
    joined: int = 0
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    label: str
    milliseconds: float
    percent: float
    before: float


@dataclass(frozen=True, slots=True)
class Side:
    """One search; `error` when there is no answer. `stages` follow each other in time."""

    title: str
    error: str = ""
    covered: bool = False
    reason: str = ""
    degraded: str = ""
    not_reranked: str = ""
    stages: Sequence[Stage] = ()
    milliseconds: float = 0.0
    lines: Sequence[Line] = ()
    reranked: bool = False


@require_safe
def bench_view(request: HttpRequest, object_id: int) -> HttpResponse:
    base = base_or_404(request, object_id, "knowledge.view_document")
    asked = question(request.GET, base)
    shown = list(base.generations.filter(chunks_total__gt=0) | base.generations.filter(state=LIVE))
    context = {
        "title": _("Test bench"),
        "object": base,
        **base_tabs(request, base, "bench"),
        "asked": asked,
        "bases": KnowledgeBase.objects.order_by("name"),
        "generations": shown,
        "languages": settings.LANGUAGES,
        "most_k": MOST_K,
        "sides": sides(asked) if asked.text else [],
    }
    return panel_page(request, "admin/knowledge/bench.html", context)


def question(form: QueryDict, base: KnowledgeBase) -> Question:
    """From the address of the page; what makes no sense in it counts as not said."""
    chosen = [int(number) for number in form.getlist("base") if _is_id(number)]
    known = list(KnowledgeBase.objects.filter(pk__in=chosen).values_list("pk", flat=True)) or [base.pk]
    language = form.get("language", "")
    k = form.get("k", "")
    return Question(
        text=form.get("q", "").strip()[:MOST_CHARACTERS],
        bases=known,
        language=language if language in dict(settings.LANGUAGES) else "",
        k=min(MOST_K, max(1, int(k))) if _is_id(k) else K,
        one=_generation(base, form.get("one", "")),
        other=_generation(base, form.get("other", "")),
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _generation(base: KnowledgeBase, number: str) -> IndexGeneration | None:
    return base.generations.filter(pk=number).first() if _is_id(number) else None


def sides(asked: Question) -> list[Side]:
    """One side, or two when another generation is to be compared, each line with its rank on the other side."""
    first = _side(asked, asked.one)
    if asked.other is None:
        return [first]
    second = _side(asked, asked.other)
    spans = _spans([first, second])
    return [_compared(first, second, spans), _compared(second, first, spans)]


def _compared(side: Side, other: Side, spans: Mapping[int, Span]) -> Side:
    """By place in the text, not by id: two generations may cut the same document into other passages."""
    chosen = [line for line in other.lines if line.rank]
    return replace(side, lines=[replace(line, other=_rank_there(line, chosen, spans)) for line in side.lines])


def _rank_there(line: Line, chosen: Sequence[Line], spans: Mapping[int, Span]) -> int:
    """The best rank of a passage that shares text with this one, 0 for none."""
    start, end = spans.get(line.chunk, (0, 0))
    for one in chosen:
        first, last = spans.get(one.chunk, (0, 0))
        if one.document == line.document and first < end and start < last:
            return one.rank
    return 0


def _spans(found: Sequence[Side]) -> dict[int, Span]:
    chunks = {line.chunk for side in found for line in side.lines}
    rows = Chunk.objects.filter(pk__in=chunks).order_by().values_list("pk", "start", "end")
    return {pk: (start, end) for pk, start, end in rows}


def _side(asked: Question, generation: IndexGeneration | None) -> Side:
    title = _title(generation)
    try:
        found = async_to_sync(search_channel.explain)(
            asked.text,
            bases=asked.bases,
            k=asked.k,
            language=asked.language,
            generation=generation.pk if generation else None,
        )
    except KnowledgeError as error:
        return Side(title, error=error.message)
    if not found:
        return Side(title, error=_("This index is not there any more."))
    return _read(title, found)


def _title(generation: IndexGeneration | None) -> str:
    if generation is None:
        return _("Live index")
    return f"{generation.embedder} · {generation.get_state_display()}"


def _read(title: str, found: Mapping[str, Any]) -> Side:
    """What bench.explained gave, for people."""
    result = found["result"]
    ranks = {passage["chunk"]: rank for rank, passage in enumerate(result["passages"], start=1)}
    candidates = list(found["candidates"])
    best = {name: max((_score(one, name) or 0.0 for one in candidates), default=0.0) for name in SCORES}
    lines = [_line(one, ranks, best) for one in candidates]
    lines.sort(key=lambda line: (line.rank == 0, line.rank))
    stages = _stages(result["timings"])
    return Side(
        title,
        covered=result["covered"],
        reason=_reason(candidates, result["covered"], list(found.get("thresholds", {}).values())),
        degraded=str(DEGRADED.get(result["degraded"], result["degraded"])),
        not_reranked=str(RERANKED.get(found.get("reranked", ""), "")),
        stages=stages,
        milliseconds=sum(stage.milliseconds for stage in stages),
        lines=lines[:MOST_SHOWN],
        reranked=any(_score(one, "rerank") is not None for one in candidates),
    )


def _reason(candidates: Sequence[Mapping[str, Any]], covered: bool, thresholds: Sequence[tuple[float, float]]) -> str:
    """By which threshold a question is covered or not; '' when only words were searched, or with several embedders."""
    cosines = [score for one in candidates if (score := _score(one, "dense")) is not None]
    if not cosines or len(thresholds) != 1:
        return ""
    near, fairly = thresholds[0]
    values = {"best": f"{max(cosines):.3f}", "near": f"{near:.3f}", "fairly": f"{fairly:.3f}"}
    if covered and max(cosines) >= near:
        text = _("The nearest passage has a cosine of %(best)s; %(near)s is enough.")
    elif covered:
        text = _("The nearest passage has a cosine of %(best)s; as the words agree, %(fairly)s is enough.")
    elif max(cosines) >= fairly:
        text = _("The nearest passage has a cosine of %(best)s; as the words do not agree, it takes %(near)s.")
    else:
        text = _("The nearest passage has a cosine of %(best)s; it takes %(near)s, or %(fairly)s if the words agree.")
    return text % values


def _score(candidate: Mapping[str, Any], name: str) -> float | None:
    value = candidate["passage"]["scores"].get(name)
    return None if value is None else float(value)


def _line(candidate: Mapping[str, Any], ranks: Mapping[int, int], best: Mapping[str, float]) -> Line:
    passage = candidate["passage"]
    rank = ranks.get(passage["chunk"], 0)
    why = candidate.get("why", "") or "place"
    scores = []
    for name in SCORES:
        value = _score(candidate, name)
        share = round(100 * max(0.0, value or 0.0) / best[name]) if best[name] > 0 else 0
        scores.append(None if value is None else Score(value, passage["scores"].get(f"{name}_rank"), share))
    return Line(
        rank=rank,
        chunk=passage["chunk"],
        document=passage["document"],
        title=passage["title"],
        location=passage["location"],
        text=passage["text"],
        fused=passage["score"],
        scores=scores,
        why="" if rank else str(WHY.get(why, why)),
        joined=int(passage["scores"].get("joined") or 0),
    )


def _stages(timings: Mapping[str, float]) -> list[Stage]:
    total = sum(timings.values()) or 1.0
    stages: list[Stage] = []
    before = 0.0
    for name, seconds in timings.items():
        percent = 100 * seconds / total
        label = str(STAGES.get(name, name))
        stages.append(Stage(name, label, round(1000 * seconds, 1), round(percent, 1), round(before, 1)))
        before += percent
    return stages


ROUTES: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (("bench/", "bench", bench_view),)
