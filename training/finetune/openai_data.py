"""What is sent to OpenAI: the approved examples of a frozen set in its format, checked and priced before they go.

answers      {"messages": [system, user, assistant]}; the conversation before them, if there is one, is not learned
preferences  {"input": {"messages": […]}, "preferred_output": [assistant], "non_preferred_output": [assistant]}

The same set gives the same bytes, so a file that was uploaded before a restart can be recognised by name and size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from llm.models import Price
from llm.prices import currency, price_of
from training.exports.openai_rules import MOST_BYTES, examine, not_learned, training_cost
from training.models import DataSet, Example

from .errors import BadExample
from .options import OpenAIOptions

SPLITS = {"train": Example.Split.TRAIN, "held_out": Example.Split.HELD_OUT}
# What OpenAI chooses when it is left to (openai-cookbook, "Data preparation and analysis for chat model fine-tuning").
_EPOCHS, _LEAST_SEEN, _MOST_SEEN, _MOST_EPOCHS = 3, 100, 25_000, 25


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training would read and cost. `cost` in `currency`; None when the model has no price for training."""

    examples: int
    held_out: int
    tokens: int
    epochs: int
    cost: Decimal | None
    currency: str
    price: str = ""
    price_checked: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "held_out": self.held_out,
            "tokens": self.tokens,
            "epochs": self.epochs,
            "estimate": None if self.cost is None else str(self.cost),
            "currency": self.currency,
            "price": self.price,
            "price_checked": self.price_checked,
        }


def epochs_for(examples: int, options: OpenAIOptions) -> int:
    if options.n_epochs:
        return options.n_epochs
    if examples * _EPOCHS < _LEAST_SEEN:
        return min(_MOST_EPOCHS, -(-_LEAST_SEEN // max(examples, 1)))
    if examples * _EPOCHS > _MOST_SEEN:
        return max(1, _MOST_SEEN // examples)
    return _EPOCHS


def estimate(*, dataset: DataSet, base: str, options: OpenAIOptions) -> Estimate:
    """Reads every example once. Raises BadExample for one that OpenAI would refuse."""
    counts = {"train": 0, "held_out": 0}
    tokens = 0
    for split in SPLITS:
        for example in _examples(dataset, split):
            found = _checked(example)
            counts[split] += 1
            tokens += found if split == "train" else 0
    price = price_of(f"openai:{base}", Price.objects.all())
    epochs = epochs_for(counts["train"], options)
    return Estimate(
        examples=counts["train"],
        held_out=counts["held_out"],
        tokens=tokens,
        epochs=epochs,
        cost=training_cost(tokens, price, epochs),
        currency=price.currency if price else currency(),
        price=price.model if price else "",
        price_checked=price.checked_on.isoformat() if price and price.checked_on else "",
    )


def write(dataset: DataSet, split: str, path: Path) -> tuple[int, str]:
    """How many examples the file has, and its SHA-256. Raises BadExample, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh, digest, lines, size = path.with_suffix(".part"), hashlib.sha256(), 0, 0
    with fresh.open("wb") as file:
        for example in _examples(dataset, split):
            _checked(example)
            line = json.dumps(_line(example), ensure_ascii=False).encode() + b"\n"
            digest.update(line)
            file.write(line)
            lines, size = lines + 1, size + len(line)
    if size > MOST_BYTES:
        fresh.unlink()
        raise BadExample(
            _("The data set has more than the %(most)s MB that OpenAI takes in one file.")
            % {"most": MOST_BYTES // 1024**2}
        )
    fresh.replace(path)
    return lines, digest.hexdigest()


def _examples(dataset: DataSet, split: str) -> Iterator[Example]:
    rows = dataset.examples.filter(split=SPLITS[split], state=Example.State.APPROVED).order_by("pk")
    return rows.only("pk", "prompt", "answer", "rejected").iterator(chunk_size=200)


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _checked(example: Example) -> int:
    """Tokens, an upper estimate. Raises BadExample."""
    answers = [example.answer, example.rejected] if example.rejected else [example.answer]
    tokens = 0
    for answer in answers:
        messages = [*example.prompt, _answer(answer)] if isinstance(example.prompt, list) else None
        found = examine(messages)
        if found.problem:
            raise BadExample(
                _("OpenAI would refuse example %(id)s of the data set: %(why)s.")
                % {"id": example.pk, "why": found.detail}
            )
        tokens += found.tokens
    return tokens


def _line(example: Example) -> dict[str, Any]:
    if not example.rejected:
        return {"messages": [*not_learned(example.prompt), _answer(example.answer)]}
    return {
        "input": {"messages": example.prompt},
        "preferred_output": [_answer(example.answer)],
        "non_preferred_output": [_answer(example.rejected)],
    }
