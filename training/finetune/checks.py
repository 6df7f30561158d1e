"""What must be true before a fine-tune is made; each check raises a FineTuneError."""

from __future__ import annotations

import re

from django.conf import settings
from django.utils.translation import gettext as _

from llm.providers.places import OPENAI_URL, place_of
from llm.types import Place
from training.consent import without_cloud
from training.models import DataSet, Example, FineTune, TunedModel

from .errors import (
    BadBase,
    BadName,
    BadOptions,
    CloudOff,
    HereOnly,
    NameTaken,
    NoKey,
    NotFrozen,
    StaleData,
    TooFewExamples,
    WrongKind,
)

# OpenAI's own bound; fewer would be learned by heart anywhere.
LEAST_EXAMPLES = 10
UNFINISHED = (FineTune.State.WAITING, FineTune.State.RUNNING)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def training_examples(dataset: DataSet) -> int:
    """Approved examples of the part for training."""
    return dataset.examples.filter(split=Example.Split.TRAIN, state=Example.State.APPROVED).count()


def check_data(dataset: DataSet, method: str) -> None:
    if dataset.state != DataSet.State.FROZEN:
        raise NotFrozen(dataset)
    if dataset.stale is not None:
        raise StaleData(dataset)
    if method not in FineTune.Method.values:
        raise BadOptions(_("%(method)s is no method; there are sft and dpo.") % {"method": method})
    if method == FineTune.Method.DPO and dataset.kind != DataSet.Kind.PREFERENCES:
        raise WrongKind(
            _("Training by preferences needs a data set of preferences; %(name)s holds answers.") % {"name": dataset}
        )
    if method == FineTune.Method.SFT and dataset.kind != DataSet.Kind.ANSWERS:
        raise WrongKind(
            _("Training by examples needs a data set of answers; %(name)s holds preferences.") % {"name": dataset}
        )
    found = training_examples(dataset)
    if found < LEAST_EXAMPLES:
        raise TooFewExamples(found, LEAST_EXAMPLES)


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadName
    unfinished = FineTune.objects.filter(name=name, state__in=UNFINISHED).exists()
    if unfinished or TunedModel.objects.filter(name=name).exists():
        raise NameTaken(name)


def check_base(where: str, base: str) -> None:
    if not base or len(base) > 300 or any(character.isspace() for character in base):
        raise BadBase(_("Say which model is the base, by a name without spaces."))
    if where == FineTune.Where.OPENAI and ":" in base and not base.startswith("ft:"):
        raise BadBase(_("%(base)s is no name of a model at OpenAI.") % {"base": base})


def openai_url() -> str:
    return str(settings.OPENAI_BASE_URL or OPENAI_URL).rstrip("/")


def openai_allowed() -> bool:
    """Whether an admin allowed that examples leave this machine (COACH_OPENAI_TRAINING), and nothing forbids it."""
    return bool(settings.COACH_OPENAI_TRAINING) and not _offline()


def check_cloud(dataset: DataSet) -> None:
    """Also that everybody in it agreed to training there."""
    if not settings.COACH_OPENAI_TRAINING:
        raise CloudOff(_("Training at OpenAI is off; an administrator turns it on with COACH_OPENAI_TRAINING=1."))
    if _offline():
        raise CloudOff(_("The coach is set to be offline (COACH_OFFLINE), and OpenAI is outside of this network."))
    if openai_url() == OPENAI_URL and not settings.OPENAI_API_KEY:
        raise NoKey
    if here_only := without_cloud(dataset):
        raise HereOnly(here_only)


def _offline() -> bool:
    return bool(settings.OFFLINE) and place_of(openai_url()) is Place.CLOUD
