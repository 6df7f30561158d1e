"""Options: typed, bounded, and said in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from training.finetune.errors import BadOptions
from training.finetune.options import LocalOptions, OpenAIOptions, bounds_of, options_of, suggested


def test_there_and_back() -> None:
    options = options_of("local", {"epochs": 5, "learning_rate": 1e-4, "seed": 7})
    again = LocalOptions.from_json(json.loads(json.dumps(options.to_json())))
    assert again == options == LocalOptions(epochs=5, learning_rate=1e-4, seed=7)
    assert options_of("openai", {"n_epochs": None}) == OpenAIOptions()


@pytest.mark.parametrize(
    ("where", "values", "says"),
    [
        ("local", {"epochs": 0}, "epochs must be a whole number from 1 to 100."),
        ("local", {"epochs": 2.5}, "epochs must be a whole number from 1 to 100."),
        ("local", {"epochs": True}, "epochs must be a whole number from 1 to 100."),
        ("local", {"learning_rate": "much"}, "learning_rate must be a number from 1e-07 to 0.1."),
        ("local", {"learning_rate": float("nan")}, "learning_rate must be a number from 1e-07 to 0.1."),
        ("local", {"seed": -1}, "seed must be a whole number from 0 to 2147483647."),
        ("openai", {"delete_files": "no"}, "delete_files must be true or false."),
        ("openai", {"rank": 4}, "There is no option rank;"),
        ("moon", {}, "moon is no place to train;"),
    ],
)
def test_refused(where: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOptions, match=says.replace("(", r"\(")) as caught:
        options_of(where, values)
    assert (caught.value.code, caught.value.status) == ("bad_options", 422)


def test_few_examples_are_read_more_often() -> None:
    few, many = suggested("local", examples=30, gpu=False), suggested("local", examples=5000, gpu=True)
    assert isinstance(few, LocalOptions) and isinstance(many, LocalOptions)
    assert few.epochs > many.epochs
    assert many.batch > few.batch
    assert bounds_of(LocalOptions)["rank"] == (1, 256)
    assert suggested("openai", examples=30, gpu=False) == OpenAIOptions()
