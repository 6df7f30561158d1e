"""From examples to tokens: the model's own chat template, and where the answer begins (only it is learned)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .trainer_job import TrainerError

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Tokens of prompt and answer; those from `start` on are the answer."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Item:
    """One example; `rejected` only in a set of preferences."""

    chosen: Sample
    rejected: Sample | None = None

    @property
    def tokens(self) -> int:
        return max(len(self.chosen.ids), len(self.rejected.ids) if self.rejected else 0)


def read(path: Path, *, with_rejected: bool) -> list[dict[str, Any]]:
    """Raises TrainerError naming the first line that is no example."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                found.append(_checked(json.loads(line), with_rejected))
            except (ValueError, KeyError, TypeError) as error:
                raise TrainerError("bad_example", file=path.name, line=number) from error
    return found


def _checked(row: dict[str, Any], with_rejected: bool) -> dict[str, Any]:
    answers = [row["answer"], *([row["rejected"]] if with_rejected else [])]
    prompt = [{"role": message["role"], "content": message["content"]} for message in row["prompt"]]
    texts = [message["content"] for message in prompt] + answers
    if not prompt or not all(isinstance(text, str) for text in texts) or not all(text.strip() for text in answers):
        raise ValueError("no text")
    return {"prompt": prompt, "answers": answers}


def encode(tokenizer: Any, rows: Iterable[dict[str, Any]], most: int) -> tuple[list[Item], int]:
    """Items of at most `most` tokens, and how many examples were left out because they are longer.

    The oldest turns of a long conversation are left out first.
    """
    items, too_long = [], 0
    for row in rows:
        prompt = list(row["prompt"])
        item = _item(tokenizer, prompt, row["answers"])
        while item.tokens > most and (shorter := _without_oldest(prompt)) is not None:
            prompt = shorter
            item = _item(tokenizer, prompt, row["answers"])
        if item.tokens > most:
            too_long += 1
        else:
            items.append(item)
    return items, too_long


def _without_oldest(prompt: Sequence[dict[str, str]]) -> list[dict[str, str]] | None:
    """Without the first question and its answer; None when only the last question is left."""
    head = [message for message in prompt[:1] if message["role"] == "system"]
    rest = prompt[len(head) :]
    questions = [number for number, message in enumerate(rest) if message["role"] == "user"]
    return [*head, *rest[questions[1] :]] if len(questions) > 1 else None


def _item(tokenizer: Any, prompt: list[dict[str, str]], answers: Sequence[str]) -> Item:
    samples = [_sample(tokenizer, prompt, answer) for answer in answers]
    return Item(samples[0], samples[1] if len(samples) > 1 else None)


def _sample(tokenizer: Any, prompt: list[dict[str, str]], answer: str) -> Sample:
    """Prompt and answer are read apart, as in a conversation: there the prompt is read before the answer is there."""
    template = {"chat_template": CHATML} if not tokenizer.chat_template else {}
    told = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True, **template)
    whole = tokenizer.apply_chat_template(
        [*prompt, {"role": "assistant", "content": answer}], tokenize=False, **template
    )
    written = whole[len(told) :] if whole.startswith(told) else answer
    before = tokenizer(told, add_special_tokens=False)["input_ids"]
    after = tokenizer(written.rstrip("\n"), add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id is not None and after[-1] != tokenizer.eos_token_id:
        after = [*after, tokenizer.eos_token_id]
    return Sample((*before, *after), len(before))
