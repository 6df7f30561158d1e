"""Tuned models, comparisons and what a conversation would be answered by, for tests of promotions."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from coach.models import Turn
from coach.selectors import turn_context
from llm import policy
from training.models import Comparison, TunedModel


def tuned(name: str, *, model: str = "", **values: Any) -> TunedModel:
    """A tuned model whose adapter lies in the data folder."""
    path = f"adapters/{name}"
    (Path(settings.DATA_DIR) / path).mkdir(parents=True, exist_ok=True)
    given = {"model": model or f"openai:ft-{name}", "base": "smollm2-135m", "path": path}
    return TunedModel.objects.create(name=name, **{**given, **values})


def compared(candidate: TunedModel, *, passed: bool = True) -> Comparison:
    values = {} if passed else {"n": 2}
    gate = {"passed": passed, "measured": True, "why": "" if passed else "safety_new", "values": values}
    return Comparison.objects.create(
        candidate=candidate,
        live="llamacpp",
        state=Comparison.State.DONE,
        gates={"safety": gate},
        passed=passed,
        finished=timezone.now(),
    )


def answered_by(talk: Any) -> list[str]:
    """The models that the next turn of this conversation would ask, as its runner finds out."""
    turn = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q?")
    context = turn_context(turn.pk)
    found = policy.resolve(context.language_models, coach=context.coach, conversation=context.conversation)
    return [str(model) for model in found]
