"""What people read of the trainer's codes; the trainer itself knows no languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

_SENTENCES: dict[str, Callable[[], str]] = {
    "no_memory": lambda: _(
        "The training needs %(needed)s GB of memory, but only %(free)s GB are free; take a smaller model."
    ),
    "no_memory_left": lambda: _("The memory ran out; take a smaller model or shorter examples."),
    "no_disk": lambda: _("The training needs %(needed)s MB on the disk, but only %(free)s MB are free."),
    "disk_full": lambda: _("The disk is full; make room and train again."),
    "model_gone": lambda: _("The base model %(model)s is not here; fetch it and train again."),
    "model_changed": lambda: _("The file %(model)s was changed since the training was asked for; start it anew."),
    "model_broken": lambda: _("The base model %(model)s cannot be read: %(detail)s"),
    "no_package": lambda: _(
        "Training on this machine needs the Python package %(package)s; install requirements-training.txt."
    ),
    "bad_example": lambda: _("Line %(line)s of %(file)s is no example; build the data set anew."),
    "nothing_left": lambda: _("All examples are longer than %(tokens)s tokens; allow more with max_tokens."),
    "architecture": lambda: _("Models of the kind %(architecture)s cannot be trained here."),
    "diverged": lambda: _("The loss grew without bounds at step %(step)s; take a lower learning rate."),
    "died": lambda: _("The training was stopped by the system three times, most likely for want of memory."),
    "other": lambda: _("The training failed: %(detail)s"),
}
_NOTES: dict[str, Callable[[], str]] = {
    "too_long": lambda: _("%(examples)s examples are longer than %(tokens)s tokens and were left out."),
    "resumed": lambda: _("The training goes on after step %(step)s."),
}


def sentence(code: str, values: Mapping[str, Any]) -> str:
    return _fill(_SENTENCES.get(code, _SENTENCES["other"]), {"detail": code, **values})


def note(code: str, values: Mapping[str, Any]) -> str:
    return _fill(_NOTES[code], values) if code in _NOTES else code


def _fill(text: Callable[[], str], values: Mapping[str, Any]) -> str:
    try:
        return text() % values
    except KeyError:
        return text()
