"""How each language model has been doing in this process: failures in a row, last error, measured speeds, and how
its tokenizer compares with our estimate in each language.

A small circuit breaker spares people the wait for a model that is down:

    closed ─ 2 failures to answer in a row ─► open for 15 s ─► one call tries again ─► closed, or open for 15 s more

Only one call at a time tries again; one that is cancelled meanwhile leaves the trial to the next.

"Failure to answer" is a refused connection or a first token that never came: the ones that cost time.
A rate limit opens it for as long as the server asks (at most a minute). Nothing here is shared between
processes and nothing is stored: after a restart every model is tried again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .errors import FirstTokenTimeout, LanguageModelError, ModelUnavailable, RateLimited
from .types import ModelId, Usage

OPEN_AFTER = 2
OPEN_SECONDS = 15.0
LONGEST_RATE_LIMIT = 60.0
LONGEST_TRIAL = 60.0  # of the one call that tries again; after that another one may
_NEWEST_WEIGHT = 0.3
_FEWEST_ESTIMATED = 100  # a ratio of shorter prompts says more of the template than of the language
_FEWEST_TOKENS = 16  # a speed measured over fewer tokens is mostly start-up cost


@dataclass(slots=True)
class Record:
    """`failures` and `unanswered` count in a row; `running` are the calls of this process now; speeds are moving
    averages in tokens per second.

    token_ratios    language → tokens of a prompt for each one that we had estimated
    """

    failures: int = 0
    unanswered: int = 0
    last_error: str = ""
    open_until: float = 0.0
    trial_until: float = 0.0
    running: int = 0
    prompt_speed: float | None = None
    completion_speed: float | None = None
    token_ratios: dict[str, float] = field(default_factory=dict)


_records: dict[ModelId, Record] = {}


def record(model_id: ModelId) -> Record:
    """The live record of a model; an empty one when it has not been used yet."""
    return _records.setdefault(model_id, Record())


def may_try(model_id: ModelId) -> bool:
    """False while the breaker is open. When its time is over, the caller that gets True is the one that tries."""
    found = record(model_id)
    now = time.monotonic()
    if now < found.open_until or now < found.trial_until:
        return False
    if found.open_until:
        found.trial_until = now + LONGEST_TRIAL
    return True


def is_resting(model_id: ModelId) -> bool:
    """Whether `may_try` would say no; claims nothing."""
    found = record(model_id)
    now = time.monotonic()
    return now < found.open_until or now < found.trial_until


def cancelled(model_id: ModelId, trial: float) -> None:
    """A call was left before its end. `trial` is what `trial_until` was when it began: if it was the one that tries
    again, the next one may."""
    found = record(model_id)
    if trial and found.trial_until == trial:
        found.trial_until = 0.0


def succeeded(model_id: ModelId, usage: Usage, *, estimated: int = 0, language: str = "") -> None:
    """estimated: tokens of the prompt as llm/tokens.py saw them, 0 if it did not look; language: of the prompt."""
    found = record(model_id)
    found.failures = found.unanswered = 0
    found.open_until = found.trial_until = 0.0
    found.last_error = ""
    fresh = (usage.prompt_tokens or 0) - (usage.cached_prompt_tokens or 0)
    if fresh >= _FEWEST_TOKENS:
        found.prompt_speed = _average(found.prompt_speed, usage.prompt_tokens_per_second)
    if (usage.completion_tokens or 0) >= _FEWEST_TOKENS:
        found.completion_speed = _average(found.completion_speed, usage.completion_tokens_per_second)
    if estimated >= _FEWEST_ESTIMATED and usage.prompt_tokens:
        ratio = _average(found.token_ratios.get(language), usage.prompt_tokens / estimated)
        found.token_ratios[language] = ratio or 1.0


def failed(model_id: ModelId, error: LanguageModelError) -> None:
    found = record(model_id)
    found.failures += 1
    found.last_error = str(error)
    tried_again, found.trial_until = found.trial_until > 0, 0.0
    if tried_again:
        found.open_until = time.monotonic() + OPEN_SECONDS
    if isinstance(error, ModelUnavailable | FirstTokenTimeout):
        found.unanswered += 1
        if found.unanswered >= OPEN_AFTER:
            found.open_until = time.monotonic() + OPEN_SECONDS
    elif isinstance(error, RateLimited) and error.retry_after:
        found.open_until = time.monotonic() + min(error.retry_after, LONGEST_RATE_LIMIT)


def prompt_speed(model_id: ModelId) -> float | None:
    """Fresh prompt tokens per second this model reads here; None until it has been measured."""
    found = _records.get(model_id)
    return found.prompt_speed if found else None


def token_ratio(model_id: ModelId, language: str) -> float:
    """Tokens for each estimated one: with Qwen2.5 0.76 in English, 1.09 in Swedish. 1 until it has been measured."""
    found = _records.get(model_id)
    return found.token_ratios.get(language, 1.0) if found else 1.0


def forget() -> None:
    """Start with an empty slate (tests, and after the models were changed in the admin)."""
    _records.clear()


def _average(old: float | None, new: float | None) -> float | None:
    if not new or new <= 0:
        return old
    return new if old is None else (1 - _NEWEST_WEIGHT) * old + _NEWEST_WEIGHT * new
