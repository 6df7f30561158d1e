"""Whether a text is one to be careful with, by the judge that COACH_MODERATION names:

words         a built-in list of phrases (moderation_words.toml): the default, and the floor under the others
openai        OpenAI's moderation endpoint; only when it is named, for the text leaves this network
guard:MODEL   a guard model such as `guard:ollama:llama-guard3`, asked through its adapter

A judge that fails is replaced by the floor, and the verdict says so. What this sees in a text is no diagnosis.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tomllib
import unicodedata
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from .errors import FirstTokenTimeout, LanguageModelError, RequestRefused, StreamBroken, UnknownModel
from .providers.openai_moderation import MODEL as OPENAI_MODEL
from .providers.openai_moderation import flagged_by_openai, openai_place
from .registry import language_model, parse_models
from .types import ChatRequest, Message, ModelId, Place, Token

log = logging.getLogger(__name__)

WORDS, OPENAI, GUARD = "words", "openai", "guard:"
SECONDS = 8.0
_ANSWER_TOKENS = 32
# Llama Guard 3, in the order of its model card.
_GUARD_CATEGORIES = (
    "violence",
    "crime",
    "sexual_crime",
    "sexual_minors",
    "defamation",
    "specialised_advice",
    "privacy",
    "intellectual_property",
    "weapons",
    "hate",
    "self_harm",
    "sexual",
    "elections",
    "code_abuse",
)
_CODE = re.compile(r"\bS(\d{1,2})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by` is who judged: `words`, or a model; `instead_of` one sentence about the judge that failed, else ''."""

    flagged: bool
    categories: tuple[str, ...]
    by: str
    instead_of: str = ""


def check(setting: str) -> None:
    """Raises UnknownModel with one sentence when the setting names no judge there is."""
    if setting in (WORDS, OPENAI):
        return
    if not setting.startswith(GUARD):
        raise UnknownModel(_("%(value)s is no judge; use words, openai or guard:MODEL.") % {"value": repr(setting)})
    _guard(setting)


async def moderate(text: str, language: str, *, private: bool = False) -> Verdict:
    """Judge a text; `language` is the coachee's. With `private` it stays on this network, whatever the setting.

    Never raises for a judge that fails; waits at most 8 s for it.
    """
    chosen = settings.COACH_MODERATION
    try:
        if chosen == OPENAI:
            _stays(openai_place(), OPENAI_MODEL, private)
            async with asyncio.timeout(SECONDS):
                categories = await flagged_by_openai(text)
            return Verdict(bool(categories), categories, str(OPENAI_MODEL))
        if chosen.startswith(GUARD):
            async with asyncio.timeout(SECONDS):
                return await _by_guard(_guard(chosen), text, language, private)
    except TimeoutError:
        error: LanguageModelError = FirstTokenTimeout(
            _("%(model)s gave no verdict within %(seconds)d s.") % {"model": chosen, "seconds": SECONDS}
        )
    except LanguageModelError as failure:
        error = failure
    else:
        return by_words(text, language)
    log.warning("moderation falls back to the word list: %s", error)
    return replace(by_words(text, language), instead_of=str(error))


def by_words(text: str, language: str) -> Verdict:
    """The floor: phrases of the language and of English."""
    plain = _plain(text)
    found = tuple(
        category
        for category, patterns in _phrases().items()
        if any(patterns[code].search(plain) for code in {language, "en"} if code in patterns)
    )
    return Verdict(bool(found), found, WORDS)


async def _by_guard(model_id: ModelId, text: str, language: str, private: bool) -> Verdict:
    model = await asyncio.to_thread(language_model, model_id)
    _stays(model.place, model_id, private)
    request = ChatRequest(
        [Message("user", text)], max_tokens=_ANSWER_TOKENS, temperature=0.0, private=private, language=language
    )
    answer = ""
    async with aclosing(model.stream(request)) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, Token):
                answer += event.text
    return _read(model_id, answer)


def _read(model_id: ModelId, answer: str) -> Verdict:
    """Llama Guard says `safe`, or `unsafe` and a line of codes; ShieldGemma says whether it is against its rules."""
    first = next(iter(answer.split()), "").strip(".,:").lower()
    if first in ("safe", "no"):
        return Verdict(False, (), str(model_id))
    if first not in ("unsafe", "yes"):
        raise StreamBroken(_("%(model)s gave no verdict; it may be no guard model.") % {"model": model_id})
    numbers = [int(code) for code in _CODE.findall(answer)]
    names = [_GUARD_CATEGORIES[number - 1] for number in numbers if 1 <= number <= len(_GUARD_CATEGORIES)]
    return Verdict(True, tuple(dict.fromkeys(names)) or ("unsafe",), str(model_id))


def _guard(setting: str) -> ModelId:
    models = parse_models(setting.removeprefix(GUARD))
    if len(models) != 1 or models[0].provider == "guided":
        raise UnknownModel(
            _("%(value)s names no guard model; write it like guard:ollama:llama-guard3.") % {"value": repr(setting)}
        )
    return models[0]


def _stays(place: Place, model: ModelId, private: bool) -> None:
    if private and place is not Place.LOCAL:
        raise RequestRefused(_("%(model)s was not asked, because the text is private.") % {"model": model})


@cache
def _phrases() -> dict[str, dict[str, re.Pattern[str]]]:
    """For each category and language one pattern of all its phrases."""
    text = (Path(__file__).parent / "moderation_words.toml").read_text(encoding="utf-8")
    return {
        category: {code: _pattern(phrases) for code, phrases in languages.items()}
        for category, languages in tomllib.loads(text).items()
    }


def _pattern(phrases: list[str]) -> re.Pattern[str]:
    parts = []
    for phrase in phrases:
        words = r"\s+".join(re.escape(word) for word in _plain(phrase.rstrip("*")).split())
        parts.append(words + ("" if phrase.endswith("*") else r"(?!\w)"))
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
