"""What a year of coaching costs in four ways, from assumptions that are all on the page.

Money is in the currency of the prices, prices of tokens are per million tokens, energy is in kWh. Nothing here is a
promise: the list prices are the provider's, the speeds are measured here where calls were made, the rest is typed in.

    tokens       T = sessions x turns x tokens of a turn            (prompt, of it cached, and answer)
    cloud        (fresh prompt x price + cached x price + answer x price) / 1,000,000
    fine-tuned   the same with the tuned model's prices and a shorter prompt, plus the training itself
    machine      busy hours = (fresh prompt / reading speed + answer / writing speed) / 3600
                 energy     = (busy hours x W busy + idle hours x W idle) / 1000 x price of a kWh
                 machines   = busy hours / (hours switched on x share that can be busy), rounded up
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MILLION = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Shares are from 0 to 1, speeds in tokens a second, power in watts, hours in a year, prices as in the module.

    tuned_prompt_share    what is left of the prompt when the tone and the rules are in the tuned model's weights;
                          the passages of the knowledge base still have to be sent
    training_tokens       of one training run: examples x tokens of an example x epochs
    busy_share            how much of its hours one machine can be busy before people wait for each other
    rag_*                 the local model on a machine that is there anyway: only its extra power and care count
    """

    sessions: float = 10_000
    turns: float = 6
    prompt_tokens: float = 1200
    cached_share: float = 0.5
    answer_tokens: float = 250

    price_prompt: float = 0.15
    price_cached: float = 0.075
    price_answer: float = 0.60

    tuned_price_prompt: float = 0.30
    tuned_price_cached: float = 0.15
    tuned_price_answer: float = 1.20
    tuned_prompt_share: float = 0.8
    training_price: float = 3.0
    training_tokens: float = 3_000_000
    trainings: float = 4

    gpu_price: float = 2500
    gpu_years: float = 4
    gpu_busy_watts: float = 400
    gpu_idle_watts: float = 60
    gpu_prompt_speed: float = 2000
    gpu_answer_speed: float = 60
    gpu_care_hours: float = 40

    rag_busy_watts: float = 65
    rag_idle_watts: float = 0
    rag_prompt_speed: float = 75
    rag_answer_speed: float = 28
    rag_care_hours: float = 20

    hours_on: float = 8760
    busy_share: float = 0.3
    kwh_price: float = 0.25
    hour_price: float = 50


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a sum: what it is (a key of the texts in llm/admin_watch.py), the formula with its numbers."""

    key: str
    formula: str
    amount: float


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run the coach for a year. `busy_hours` and `machines` are None where somebody else owns them."""

    key: str
    parts: Sequence[Part]
    per_session: float
    busy_hours: float | None = None
    machines: int | None = None

    @property
    def total(self) -> float:
        return sum(part.amount for part in self.parts)


def compare(given: Assumptions) -> list[Option]:
    """The four ways in a fixed order: openai, finetuned, gpu, rag. A speed of 0 counts as 1 token a second."""
    return [_openai(given), _finetuned(given), _gpu(given), _rag(given)]


def token_cost(prompt: float, cached: float, answer: float, prices: tuple[float, float, float]) -> float:
    """Tokens of a year (`cached` is part of `prompt`) at prices per million for prompt, cached prompt and answer."""
    per_prompt, per_cached, per_answer = prices
    return ((prompt - cached) * per_prompt + cached * per_cached + answer * per_answer) / MILLION


def busy_hours(prompt: float, cached: float, answer: float, prompt_speed: float, answer_speed: float) -> float:
    """Hours one machine computes for these tokens one after the other; cached prompt tokens cost it nothing."""
    return ((prompt - cached) / max(prompt_speed, 1.0) + answer / max(answer_speed, 1.0)) / 3600


def _turns(given: Assumptions) -> float:
    return given.sessions * given.turns


def _option(given: Assumptions, key: str, parts: Sequence[Part], **machine: float | int) -> Option:
    per_session = sum(part.amount for part in parts) / given.sessions if given.sessions else 0.0
    hours, count = machine.get("busy_hours"), machine.get("machines")
    return Option(key, tuple(parts), per_session, hours, None if count is None else int(count))


def _calls(given: Assumptions, prices: tuple[float, float, float], prompt_share: float = 1.0) -> Part:
    turns = _turns(given)
    prompt = turns * given.prompt_tokens * prompt_share
    cached, answer = prompt * given.cached_share, turns * given.answer_tokens
    terms = zip((prompt - cached, cached, answer), prices, strict=True)
    formula = "(" + " + ".join(f"{_n(tokens)} × {price:g}" for tokens, price in terms) + f") / {_n(MILLION)}"
    return Part("calls", formula, token_cost(prompt, cached, answer, prices))


def _openai(given: Assumptions) -> Option:
    return _option(given, "openai", [_calls(given, (given.price_prompt, given.price_cached, given.price_answer))])


def _finetuned(given: Assumptions) -> Option:
    prices = (given.tuned_price_prompt, given.tuned_price_cached, given.tuned_price_answer)
    training = Part(
        "training",
        f"{given.trainings:g} × {_n(given.training_tokens)} × {given.training_price:g} / {_n(MILLION)}",
        given.trainings * given.training_tokens * given.training_price / MILLION,
    )
    return _option(given, "finetuned", [_calls(given, prices, given.tuned_prompt_share), training])


def _gpu(given: Assumptions) -> Option:
    hours = _hours(given, given.gpu_prompt_speed, given.gpu_answer_speed)
    machines = _machines(given, hours)
    purchase = Part(
        "purchase",
        f"{machines} × {given.gpu_price:g} / {given.gpu_years:g}",
        machines * given.gpu_price / max(given.gpu_years, 0.1),
    )
    energy = _energy(given, hours, machines, given.gpu_busy_watts, given.gpu_idle_watts)
    parts = [purchase, energy, _care(given, given.gpu_care_hours)]
    return _option(given, "gpu", parts, busy_hours=hours, machines=machines)


def _rag(given: Assumptions) -> Option:
    hours = _hours(given, given.rag_prompt_speed, given.rag_answer_speed)
    machines = _machines(given, hours)
    energy = _energy(given, hours, machines, given.rag_busy_watts, given.rag_idle_watts)
    return _option(given, "rag", [energy, _care(given, given.rag_care_hours)], busy_hours=hours, machines=machines)


def _hours(given: Assumptions, prompt_speed: float, answer_speed: float) -> float:
    turns = _turns(given)
    prompt = turns * given.prompt_tokens
    return busy_hours(prompt, prompt * given.cached_share, turns * given.answer_tokens, prompt_speed, answer_speed)


def _machines(given: Assumptions, hours: float) -> int:
    return max(1, math.ceil(hours / max(given.hours_on * given.busy_share, 1.0)))


def _energy(given: Assumptions, hours: float, machines: int, busy: float, idle: float) -> Part:
    resting = max(machines * given.hours_on - hours, 0.0)
    formula = f"({hours:,.0f} h × {busy:g} W + {resting:,.0f} h × {idle:g} W) / 1000 × {given.kwh_price:g}"
    return Part("energy", formula, (hours * busy + resting * idle) / 1000 * given.kwh_price)


def _care(given: Assumptions, hours: float) -> Part:
    return Part("care", f"{hours:g} h × {given.hour_price:g}", hours * given.hour_price)


def _n(number: float) -> str:
    return f"{number:,.0f}"
