from __future__ import annotations

import os

import pytest

from launcher.plan import Plan
from launcher.prepare import Prepared
from launcher.remembered import recall, remember


def test_the_last_model_is_guessed_while_nothing_has_changed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COACH_MODELS", "llamacpp")
    path = plan.data / "a.gguf"
    path.write_bytes(b"GGUF")
    prepared = Prepared(model_path=str(path), model_name="a", notice="only for this start")
    assert recall(plan) == Prepared()

    remember(plan, prepared)
    assert recall(plan) == Prepared(model_path=str(path), model_name="a")

    monkeypatch.setenv("COACH_MODELS", "llamacpp:smollm2-135m")
    assert recall(plan) == Prepared()

    monkeypatch.setenv("COACH_MODELS", "llamacpp")
    os.utime(path, (1, 1))
    assert recall(plan) == Prepared()
    path.unlink()
    assert recall(plan) == Prepared()


def test_no_model_and_nonsense_are_no_guess(plan: Plan) -> None:
    path = plan.data / "a.gguf"
    path.touch()
    remember(plan, Prepared(model_path=str(path), model_name="a"))
    remember(plan, Prepared())
    assert not (plan.run_dir / "model.json").exists()

    for text in ("", "[]", "{}", '{"wanted": ""}'):
        (plan.run_dir / "model.json").write_text(text)
        assert recall(plan) == Prepared()
