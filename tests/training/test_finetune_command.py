"""`manage.py finetune`: one JSON document on stdout, words on stderr, one sentence for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.training.finetune_rows import frozen_set, waiting_job
from tests.training.openai_server import Server, openai_server
from training.models import DataSet, FineTune, TunedModel

pytestmark = pytest.mark.django_db


@pytest.fixture
def openai(settings: Any) -> Iterator[Server]:
    with openai_server() as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, server.key
        settings.COACH_OPENAI_TRAINING = True
        yield server


def test_openai_from_beginning_to_end(openai: Server, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the command sleeps between two looks, the server becomes ready."""
    frozen_set()
    monkeypatch.setattr("training.finetune.openai_training.FOLLOW_SECONDS", 0.0)
    monkeypatch.setattr("time.sleep", lambda _seconds: openai.advance("succeeded", fine_tuned_model="ft:x"))
    call_command(
        "finetune", "openai", "--dataset", "Autumn", "--base", "gpt-4o-mini-2024-07-18", "--name", "autumn",
        "--n-epochs", "2", "--keep-files", "--wait", "--json",
    )  # fmt: skip
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["state"], found["result"]["model"]) == ("done", "openai:ft:x")
    assert (found["options"]["n_epochs"], found["options"]["delete_files"]) == (2, False)
    assert found["cost"]["epochs"] == 2
    assert "12 examples, 2 epochs of about" in err
    assert "USD" in err
    assert TunedModel.objects.get().model == "openai:ft:x"
    assert len(openai.files) == 2


def test_started_for_a_worker(openai: Server, capsys: Any) -> None:
    dataset = frozen_set()
    call_command("finetune", "openai", "--dataset", str(dataset.pk), "--base", "gpt-4o-mini", "--name", "a", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["dataset"]["name"]) == ("waiting", "Autumn")
    assert openai.seen == []


def test_here(capsys: Any, tmp_path: Path) -> None:
    frozen_set()
    model = tmp_path / "small.gguf"
    model.write_bytes(b"GGUF" + bytes(1_000_000))
    call_command("finetune", "local", "--dataset", "Autumn", "--base", str(model), "--name", "a", "--epochs", "1")
    job = FineTune.objects.get()
    assert (job.where, job.options["epochs"], job.options["batch"]) == ("local", 1, 4)
    assert job.cost["seconds"] >= 25
    assert "minutes" in capsys.readouterr().err


def test_list_show_cancel(capsys: Any) -> None:
    first = waiting_job()
    call_command("finetune", "list")
    assert "autumn" in capsys.readouterr().out
    call_command("finetune", "cancel", "autumn", "--json")
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"
    call_command("finetune", "show", str(first.pk), "--json")
    assert json.loads(capsys.readouterr().out)["id"] == str(first.pk)
    call_command("finetune", "list", "--json")
    assert [one["state"] for one in json.loads(capsys.readouterr().out)] == ["cancelled"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["local", "--dataset", "Spring", "--base", "x.gguf", "--name", "a"], "There is no data set 'Spring'"),
        (["local", "--dataset", "Autumn", "--base", "nothing.gguf", "--name", "a"], "nothing.gguf is not here"),
        (["local", "--dataset", "Autumn", "--base", "x.gguf", "--name", "a b"], "The name may have up to 60"),
        (["local", "--dataset", "Autumn", "--base", "x.gguf", "--name", "a", "--rank", "0"], "rank must be a whole"),
        (["openai", "--dataset", "Autumn", "--base", "gpt-4o-mini", "--name", "a"], "COACH_OPENAI_TRAINING=1"),
        (["show", "nobody"], "This was not found."),
        (["cancel", "over"], "This fine-tune is over already."),
    ],
)
def test_one_sentence_for_what_is_wrong(arguments: list[str], says: str) -> None:
    dataset = frozen_set()
    FineTune.objects.create(where="local", dataset=dataset, base="x", name="over", state="done")
    with pytest.raises(CommandError) as caught:
        call_command("finetune", *arguments)
    assert says in str(caught.value)
    assert FineTune.objects.count() == 1


def test_a_failed_job_fails_the_command(openai: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen_set()
    openai.faults["POST /v1/files"] = [401]
    with pytest.raises(CommandError, match="OpenAI refused the key"):
        call_command(
            "finetune", "openai", "--dataset", "Autumn", "--base", "gpt-4o-mini", "--name", "a", "--wait"
        )  # fmt: skip
    assert DataSet.objects.get().finetunes.get().error_code == "key_refused"
