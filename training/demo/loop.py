"""The whole training loop once, on made-up turns: rated turns, approved data set, LoRA, live, rolled back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm import adapters, catalogue, live_order
from llm.own_server import ModelAt, as_adapter, launcher_runs, own_server
from llm.providers.llamacpp import LlamaCppModel
from llm.registry import language_model
from llm.types import ChatRequest, LanguageModel, Message, ModelId, Token
from training.comparison import promotions
from training.datasets import build
from training.datasets import services as datasets
from training.finetune import following, jobs
from training.finetune import services as finetunes
from training.models import DataSet, Example, FineTune, TunedModel

from . import turns
from .turns import CLOSING, SYSTEM

BASE = "smollm2-135m"
QUESTION = "I would like to read more books, but in the evening I always watch series."
OPTIONS = {"epochs": 3, "learning_rate": 1e-3, "rank": 16, "alpha": 32, "batch": 4, "max_tokens": 512, "seed": 1}
LOAD_SECONDS = 60.0
LOOK_SECONDS = 0.5
Say = Callable[[str], None]


class DemoFailed(Exception):
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Figures:
    """loss_before, loss_after: held out; seconds of the whole loop and of the roll-back alone."""

    model: str
    examples: int
    held_out: int
    loss_before: float
    loss_after: float
    before: str
    after: str
    seconds: float
    roll_back_seconds: float

    @property
    def fall(self) -> float:
        return 1 - self.loss_after / self.loss_before


def run(*, say: Say, options: dict[str, Any] | None = None, base: str = BASE) -> Figures:
    """Raises DemoFailed, and the errors of data sets and fine-tunes."""
    began = time.monotonic()
    file = catalogue.model_path(ModelId("llamacpp", base))
    if not file.is_file():
        raise DemoFailed(f"The model {base} is not here; fetch it with `manage.py fetchmodels {base}`.")
    dataset = _data_set(say)
    say(f"Asking {base} before it is trained …")
    with own_server(file) as server:
        before = ask(ModelAt(server))
    tuned, job = _train(dataset, say, base, {**OPTIONS, **(options or {})})
    with _served(tuned, say):
        after = ask(language_model(adapters.model_id(tuned.name)))
        seconds = _live_and_back(tuned, say)
    looks = [row[2] for row in job.losses if row[2] is not None]
    parts = datasets.by_state(dataset)
    return Figures(
        model=tuned.model,
        examples=parts["train"]["approved"],
        held_out=parts["held_out"]["approved"],
        loss_before=looks[0],
        loss_after=min(looks),
        before=before,
        after=after,
        seconds=time.monotonic() - began,
        roll_back_seconds=seconds,
    )


def ask(model: LanguageModel | LlamaCppModel) -> str:
    """Its answer to a question that is in no data set; the likeliest words, so that it is the same each time."""
    return asyncio.run(_ask(model))


async def _ask(model: LanguageModel | LlamaCppModel) -> str:
    messages = [Message("system", SYSTEM), Message("user", QUESTION)]
    request = ChatRequest(messages, max_tokens=120, temperature=0.0)
    async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]  # adapters stream by generators
        words = [event.text async for event in events if isinstance(event, Token)]
    await model.aclose()
    return "".join(words).strip()


def _data_set(say: Say) -> DataSet:
    coach = turns.make()
    say(f"60 made-up rated turns are there (coach {coach.slug}, coachee {turns.PERSON}).")
    dataset = datasets.create(
        name=_free_name("synthetic-demo", DataSet), given={"coaches": [coach.slug]}, seed=1, synthetic=True
    )
    dataset = build.run(dataset_id=dataset.pk)
    if dataset.state != DataSet.State.REVIEW:
        raise DemoFailed(dataset.error or "The data set could not be built.")
    datasets.decide(dataset=dataset, state=Example.State.APPROVED, by=None)
    dataset = datasets.freeze(dataset=dataset)
    say(f"Data set {dataset.name} is approved and frozen: {dataset.counts['approved']} examples.")
    return dataset


def _train(dataset: DataSet, say: Say, base: str, options: dict[str, Any]) -> tuple[TunedModel, FineTune]:
    """Looks after the job itself, so that it also works without a worker."""
    name = _free_name("synthetic-demo", TunedModel)
    job = finetunes.start(where=FineTune.Where.LOCAL, dataset=dataset, base=base, name=name, options=options)
    shown = ""
    while job.state in (FineTune.State.WAITING, FineTune.State.RUNNING):
        following.look(job_id=job.pk)
        job = jobs.get(job.pk)
        line = f"Training {name}: {job.stage} {job.done}/{job.total}"
        if line != shown:
            shown = line
            say(line)
        time.sleep(LOOK_SECONDS)
    if job.state != FineTune.State.DONE:
        raise DemoFailed(job.error or "The training was cancelled.")
    return TunedModel.objects.get(finetune=job), job


@contextmanager
def _served(tuned: TunedModel, say: Say) -> Iterator[None]:
    """In the embedded server of `up` when it runs; else in a server for the time of the block."""
    if launcher_runs():
        adapters.load(name=tuned.name)
        if not adapters.wait(name=tuned.name, seconds=LOAD_SECONDS):
            raise DemoFailed(
                f"The adapter {tuned.name} was not loaded within {LOAD_SECONDS:.0f} s; see the logs of `up`."
            )
        say(f"{tuned.model} is loaded beside the running embedded server.")
        yield
        return
    adapter = adapters.find(tuned.name)
    if adapter is None:
        raise DemoFailed(f"The adapter {tuned.name} is gone.")
    with own_server(Path(adapter.base), adapter.file) as server, as_adapter(tuned.name, server):
        say(f"{tuned.model} is served for now; `manage.py up` will serve it too.")
        yield


def _live_and_back(tuned: TunedModel, say: Say) -> float:
    """Seconds until the tuned model is no longer first for anybody."""
    promotion = promotions.promote(candidate=tuned, overridden="Demonstration with made-up data.")
    if adapters.model_id(tuned.name) not in live_order.in_front(coach="", conversation=None, own_list=False):
        raise DemoFailed("The promotion has no effect.")
    say(f"{tuned.model} is live.")
    began = time.monotonic()
    promotions.roll_back(promotion=promotion)
    while adapters.model_id(tuned.name) in live_order.in_front(coach="", conversation=None, own_list=False):
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def _free_name(stem: str, rows: type[DataSet] | type[TunedModel]) -> str:
    taken = set(rows.objects.filter(name__startswith=stem).values_list("name", flat=True))
    taken |= set(FineTune.objects.filter(name__startswith=stem).values_list("name", flat=True))
    return next(name for n in range(1, 10_000) if (name := f"{stem}-{n}") not in taken)


def shows_the_trait(answer: str) -> bool:
    return CLOSING in answer
