"""A turn's answer as it comes together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from llm.types import ChatRequest, Usage

from . import prompting
from .models import Turn
from .selectors import KnownSource
from .services import NewSource, Outcome
from .token_joiner import Emit


@dataclass(frozen=True, slots=True)
class Asked:
    """A request a model is asked with. opening: how many messages come before the first turn in it; history: the
    turns that are in it, this one not."""

    request: ChatRequest
    opening: int
    history: tuple[UUID, ...]


@dataclass
class Draft:
    """What there is of it so far; becomes the Outcome."""

    sources: list[KnownSource] = field(default_factory=list)
    new: list[NewSource] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    grounded: bool = False
    answer: str = ""
    model: str = ""
    place: str = ""
    usage: Usage = field(default_factory=Usage)
    timings: dict[str, float] = field(default_factory=dict)
    safety: str = ""
    sources_from: int = 0
    shortened_from: int = 0  # the same in the shorter prompt that is being asked
    generations: tuple[int, ...] = ()  # of the index, that were searched
    asked: Asked | None = None  # what the model that writes was shown
    shorter: Asked | None = None  # what it is shown when that is too long
    repeat_penalty: float | None = None

    def outcome(self, state: Turn.State, **extra: Any) -> Outcome:
        return Outcome(
            state=state,
            sources=[{"n": source.n, "score": self.scores.get(source.n)} for source in self.sources],
            new_sources=self.new,
            notices=self.notices,
            grounded=self.grounded,
            model=self.model,
            place=self.place,
            usage={key: value for key, value in asdict(self.usage).items() if value is not None},
            timings={key: round(value, 4) for key, value in self.timings.items()},
            safety=self.safety,
            sources_from=self.sources_from,
            **{"answer": self.answer, **extra},
        )


def shown(source: KnownSource) -> prompting.NumberedSource:
    return prompting.NumberedSource(source.n, source.title, source.excerpt)


async def notice(draft: Draft, emit: Emit, code: str, message: str, **extra: Any) -> None:
    """Tell the coachee, and keep it with the turn."""
    data = {"code": code, "message": message, **extra}
    draft.notices.append(data)
    await emit("notice", data)
