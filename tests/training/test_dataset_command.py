from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from training.models import DataSet

from .test_datasets import talks  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("talks")]


def called(capsys, *arguments: str) -> dict:
    call_command("dataset", *arguments, "--json")
    found: dict = json.loads(capsys.readouterr().out)
    return found


def test_from_build_to_files(capsys, tmp_path):
    built = called(capsys, "build", "Autumn", "--min-rating", "4", "--held-out", "0.3")
    assert built["state"] == "review" and built["filter"]["min_rating"] == 4
    first = DataSet.objects.get().examples.first()
    assert called(capsys, "reject", "Autumn", str(first.pk))["examples"][first.split]["rejected"] == 1
    approved = called(capsys, "approve", str(built["id"]), "--all")
    assert sum(part["approved"] for part in approved["examples"].values()) == 29
    frozen = called(capsys, "freeze", "Autumn")
    assert frozen["state"] == "frozen" and len(frozen["sha256"]) == 64
    found = called(capsys, "files", "Autumn", "--out", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "held_out.jsonl",
        "manifest.json",
        "train.jsonl",
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["sha256"] == frozen["sha256"] and found["manifest"].endswith("manifest.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "Autumn", "--min-rating", "5"], "Nothing passes"),
        (["build", "Autumn", "--held-out", "2"], "held out"),
        (["build", " "], "name"),
        (["show", "Nothing"], "no data set called Nothing"),
        (["freeze", "99"], "no data set called 99"),
    ],
)
def test_refusals_leave_nothing(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("dataset", *arguments)
    assert not DataSet.objects.exists()


def test_in_words(capsys):
    call_command("dataset", "build", "Autumn")
    call_command("dataset", "show", "Autumn")
    said = capsys.readouterr().out
    assert "Autumn: review" in said and "train" in said
    with pytest.raises(CommandError, match="--all"):
        call_command("dataset", "approve", "Autumn")
    with pytest.raises(CommandError, match="0 approved"):
        call_command("dataset", "freeze", "Autumn")
    with pytest.raises(CommandError, match="not open"):
        call_command("dataset", "files", "Autumn", "--out", "x")
