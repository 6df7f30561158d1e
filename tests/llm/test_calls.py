"""The books: what is written, what it costs, what happens when the database or the process goes away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError

from llm import calls, loops, prices, switcher
from llm.models import ModelCall, Price
from llm.types import Account, ChatRequest, Finished, ModelId, Place, Usage
from tests.llm.books import CLOUD, LOCAL, call
from tests.llm.conftest import ModelServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _recorded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls are recorded, by a writer of this test's own."""
    settings.LLM_CALL_DAYS = 30
    monkeypatch.setattr(calls, "_writer", calls._Writer())
    monkeypatch.setattr(calls, "WRITE_SECONDS", 0.02)
    monkeypatch.setattr(calls, "IDLE_SECONDS", 0.1)
    yield
    calls.flush()


@pytest.mark.django_db(transaction=True)
def test_a_call_is_written_with_everything_it_tells(alice: Any) -> None:
    _priced()
    turn = uuid4()
    account = Account(purpose="turn", coach="personal", user=alice.pk, turn=turn, queue_seconds=0.25)
    calls.report(call(account=account, fallback_from="llamacpp", fallback_reason="first_token"))
    assert calls.flush()
    found = ModelCall.objects.get()
    assert (found.model, found.place, found.outcome) == ("openai:gpt-4o-mini", "cloud", "ok")
    assert (found.coach, found.user, found.turn, found.queue_seconds) == ("personal", alice, turn, 0.25)
    assert (found.fallback_from, found.fallback_reason) == ("llamacpp", "first_token")
    assert (found.prompt_tokens, found.cached_prompt_tokens, found.completion_tokens) == (1000, 400, 100)
    # 600 × 0.15 + 400 × 0.075 + 100 × 0.60 per million
    assert found.cost == Decimal("0.000180")


@pytest.mark.django_db(transaction=True)
def test_many_calls_come_in_few_statements(django_assert_max_num_queries: Any) -> None:
    for _ in range(1200):
        calls.report(call())
    assert calls.flush()
    assert ModelCall.objects.count() == 1200


@pytest.mark.django_db(transaction=True)
def test_a_call_of_somebody_who_was_deleted_meanwhile_stays_without_them(alice: Any) -> None:
    gone = alice.pk
    alice.delete()
    calls.report(call(account=Account(user=gone)))
    assert calls.flush()
    assert ModelCall.objects.get().user is None


@pytest.mark.django_db(transaction=True)
def test_names_longer_than_the_columns_are_cut() -> None:
    calls.report(call(account=Account(coach="c" * 60, purpose="p" * 30), outcome="o" * 50))
    assert calls.flush()
    found = ModelCall.objects.get()
    assert (len(found.coach), len(found.purpose), len(found.outcome)) == (50, 20, 40)


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_calls_wait(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    written, ready = ModelCall.objects.bulk_create, []

    def refuse(rows: list[ModelCall]) -> list[ModelCall]:
        if not ready:
            raise DatabaseError("no")
        return written(rows)

    monkeypatch.setattr(ModelCall.objects, "bulk_create", refuse)
    calls.report(call())
    assert not calls.flush()
    ready.append(True)
    assert calls.flush()
    assert ModelCall.objects.count() == 1
    assert "the database did not take them" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_beyond_the_bound_the_oldest_are_dropped_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    caplog.set_level(logging.WARNING, "llm.calls")
    monkeypatch.setattr(calls, "MOST_WAITING", 10)
    monkeypatch.setattr(calls._Writer, "_start", lambda self: None)  # as while the thread is busy
    for number in range(25):
        calls.report(call(seconds=float(number)))
    assert [waiting.seconds for waiting in calls._writer._waiting] == [float(n) for n in range(15, 25)]
    assert caplog.text.count("the oldest are not recorded") == 1
    assert len(calls._writer._take()) == 10
    assert "15 calls were not recorded" in caplog.text


def test_reporting_costs_nobody_anything_and_never_raises(caplog: Any) -> None:
    """No database at all (pytest-django forbids it here): the caller notices nothing."""
    begun = time.perf_counter()
    for _ in range(1000):
        calls.report(call())
    assert (time.perf_counter() - begun) / 1000 < 0.001
    calls.flush()


def test_nothing_is_kept_when_calls_are_not_recorded(settings: Any) -> None:
    settings.LLM_CALL_DAYS = 0
    calls.report(call())
    assert not calls._writer._waiting


def test_a_forked_child_neither_writes_its_parents_calls_nor_waits_for_its_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls._Writer, "_start", lambda self: None)
    calls.report(call())
    code = os.fork()
    if code == 0:
        os._exit(0 if not calls._writer._waiting and calls.flush(1) else 1)
    assert os.waitpid(code, 0)[1] == 0
    assert len(calls._writer._waiting) == 1
    calls._writer._waiting.clear()


def test_a_process_writes_what_it_has_when_it_ends(tmp_path: Path) -> None:
    """A real process with a real database file."""
    code = (
        "import django; django.setup()\n"
        "from django.core.management import call_command; call_command('migrate', 'llm', verbosity=0)\n"
        "from llm import calls; from tests.llm.books import call, LOCAL; from llm.types import Place\n"
        "calls.report(call(LOCAL, Place.LOCAL))\n"
    )
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "COACH_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **settings, "DATABASE_URL": f"sqlite:///{tmp_path / 'one.sqlite3'}"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, timeout=60)
    import sqlite3

    with sqlite3.connect(tmp_path / "one.sqlite3") as database:
        assert database.execute("SELECT model, cost FROM llm_modelcall").fetchall() == [("llamacpp", 0)]


@pytest.mark.django_db(transaction=True)
def test_a_stream_that_falls_back_leaves_two_calls(settings: Any, model_server: ModelServer, ask: ChatRequest) -> None:
    """The whole way: switcher, a server that fails, another that answers, two rows."""
    settings.OLLAMA_BASE_URL = model_server.url
    asked = replace(ask, account=Account(coach="personal"))
    models = [LOCAL, ModelId("ollama", "m")]

    async def answered() -> bool:
        return isinstance([event async for event in switcher.stream(asked, models)][-1], Finished)

    assert loops.run(answered())
    assert calls.flush()
    first, second = ModelCall.objects.order_by("pk")
    assert (first.model, first.outcome, first.coach) == ("llamacpp", "unavailable", "personal")
    assert (second.model, second.outcome, second.fallback_from) == ("ollama:m", "ok", "llamacpp")
    assert second.first_token_seconds is not None and second.completion_tokens == 20
    assert second.cost == 0


# --- prices ----------------------------------------------------------------------------------------


def _priced() -> Price:
    return Price.objects.update_or_create(
        model="openai:gpt-4o-mini", defaults={"prompt": "0.15", "cached_prompt": "0.075", "completion": "0.60"}
    )[0]


def _price(pattern: str, **values: Any) -> Price:
    given = {"prompt": Decimal(1), "cached_prompt": None, "completion": Decimal(2), **values}
    return Price(model=pattern, **given)


def test_the_longest_pattern_counts() -> None:
    known = [_price(name) for name in ("openai:*", "openai:gpt-4o*", "openai:gpt-4o", "*", "ollama:*")]
    assert [
        getattr(prices.price_of(name, known), "model", None) for name in ("openai:gpt-4o", "openai:gpt-4o-mini")
    ] == [
        "openai:gpt-4o",
        "openai:gpt-4o*",
    ]
    assert prices.price_of("openai:o3", known).model == "openai:*"  # type: ignore[union-attr]
    assert prices.price_of("llamacpp", known).model == "*"  # type: ignore[union-attr]
    assert prices.price_of("llamacpp", known[:3]) is None


def test_what_a_call_costs() -> None:
    usage = Usage(prompt_tokens=2_000_000, cached_prompt_tokens=1_000_000, completion_tokens=500_000)
    assert prices.cost_of(usage, Place.CLOUD, _price("x")) == Decimal("3.000000")
    assert prices.cost_of(usage, Place.CLOUD, _price("x", cached_prompt=Decimal("0.5"))) == Decimal("2.500000")
    assert prices.cost_of(usage, Place.LOCAL, None) == 0
    assert prices.cost_of(usage, Place.CLOUD, None) is None
    assert prices.cost_of(Usage(), Place.CLOUD, _price("x")) is None


@pytest.mark.django_db
def test_the_list_prices_are_there_to_begin_with() -> None:
    known = list(Price.objects.all())
    assert {price.currency for price in known} == {"USD"}
    assert all(price.checked_on for price in known)
    found = prices.price_of("openai:gpt-4o-mini-2024-07-18", known)
    assert found is not None
    assert (found.prompt, found.cached_prompt, found.completion) == (Decimal("0.15"), Decimal("0.075"), Decimal("0.60"))
    assert prices.price_of("openai:gpt-4o-mini@ours", known) is None
    assert str(CLOUD) in {price.model for price in known} and str(LOCAL) not in {price.model for price in known}
