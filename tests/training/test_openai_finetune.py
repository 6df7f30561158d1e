"""Fine-tuning at OpenAI: the real SDK against a local server; what goes over the wire and what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.training.finetune_rows import frozen_set, waiting_job
from tests.training.openai_server import Server, openai_server
from training.finetune import following, jobs, openai_training
from training.finetune.openai_api import OpenAITraining
from training.models import DataSet, Example, FineTune, TunedModel

pytestmark = pytest.mark.django_db
State = FineTune.State


@pytest.fixture
def openai(settings: Any) -> Iterator[Server]:
    with openai_server() as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, server.key
        settings.COACH_OPENAI_TRAINING = True
        yield server


def look(job: FineTune) -> FineTune:
    """What the worker does when it is time."""
    FineTune.objects.filter(pk=job.pk, lease_owner="").update(lease_until=None)
    following.look(job_id=job.pk)
    return jobs.get(job.pk)


def texts(job: FineTune) -> list[str]:
    return [one["text"] for one in job.events]


# --- the whole way -------------------------------------------------------------------------------


def test_what_is_asked_of_openai(openai: Server) -> None:
    job = look(waiting_job("openai", options={"seed": 7, "n_epochs": 2, "learning_rate_multiplier": 1.8}))
    assert (job.state, job.stage, job.lease_owner) == (State.RUNNING, "validating_files", "")
    assert openai.requests == [
        {
            "model": "gpt-4o-mini-2024-07-18",
            "training_file": "file-1",
            "validation_file": "file-2",
            "suffix": "autumn",
            "seed": 7,
            "method": {
                "type": "supervised",
                "supervised": {"hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 1.8}},
            },
            "metadata": {"ai_coach_job": str(job.pk)},
        }
    ]


def test_what_is_uploaded(openai: Server) -> None:
    look(waiting_job("openai"))
    lines = [json.loads(line) for line in openai.contents["file-1"].decode().splitlines()]
    assert len(lines) == 12
    assert lines[0] == {
        "messages": [
            {"role": "system", "content": "You are a coach."},
            {"role": "user", "content": "How do I begin with habit 0?"},
            {"role": "assistant", "content": "Take one small step with habit 0. What would make it easy?"},
        ]
    }
    assert len(openai.contents["file-2"].splitlines()) == 3
    assert {one["purpose"] for one in openai.files.values()} == {"fine-tune"}


def test_from_examples_to_a_language_model(openai: Server) -> None:
    job = look(waiting_job("openai", options={"seed": 7}))
    openai.advance("running")
    openai.tell("Fine-tuning job started")
    openai.train(10, total=24)
    job = look(job)
    assert (job.done, job.total, job.stage) == (10, 24, "running")
    assert job.losses[0] == [1, 2.4, None]
    assert job.losses[4] == [5, 2.0, 2.25]
    assert "Fine-tuning job started" in texts(job)
    assert not any(text.startswith("Step") for text in texts(job))

    openai.advance("succeeded", fine_tuned_model="ft:gpt-4o-mini-2024-07-18:acme:autumn:9xYz", trained_tokens=2400)
    job = look(job)
    assert (job.state, job.error, job.lease_owner, job.done) == (State.DONE, "", "", 24)
    assert job.cost["trained_tokens"] == 2400
    assert job.versions["seed"] == 7
    tuned = TunedModel.objects.get()
    assert tuned.model == "openai:ft:gpt-4o-mini-2024-07-18:acme:autumn:9xYz"
    assert (tuned.name, tuned.base, tuned.finetune, tuned.path) == ("autumn", job.base, job, "")
    assert openai.files == {}
    assert not openai_training._folder(job).exists()
    before = len(openai.seen)
    assert following.look(job_id=job.pk) is None
    assert len(openai.seen) == before


def test_the_result_is_a_language_model_here() -> None:
    from llm.registry import parse_models

    assert [str(one) for one in parse_models("openai:ft:gpt-4o-mini-2024-07-18:acme:autumn:9xYz,guided")] == [
        "openai:ft:gpt-4o-mini-2024-07-18:acme:autumn:9xYz",
        "guided",
    ]


def test_preferences(openai: Server) -> None:
    dataset = frozen_set(kind="preferences", held_out=0)
    look(waiting_job("openai", dataset=dataset, method="dpo", options={"beta": 0.3, "delete_files": False}))
    assert json.loads(openai.contents["file-1"].splitlines()[0]) == {
        "input": {
            "messages": [
                {"role": "system", "content": "You are a coach."},
                {"role": "user", "content": "How do I begin with habit 0?"},
            ]
        },
        "preferred_output": [
            {"role": "assistant", "content": "Take one small step with habit 0. What would make it easy?"}
        ],
        "non_preferred_output": [{"role": "assistant", "content": "Just do it."}],
    }
    assert openai.requests[0]["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3}}}
    assert "validation_file" not in openai.requests[0]
    openai.advance("succeeded", fine_tuned_model="ft:x")
    look(FineTune.objects.get())
    assert list(openai.files) == ["file-1"]


def test_only_approved_examples_leave(openai: Server) -> None:
    dataset = frozen_set(train=13)
    rejected = dataset.examples.filter(split="train").first()
    assert rejected is not None
    Example.objects.filter(pk=rejected.pk).update(state="rejected")
    look(waiting_job("openai", dataset=dataset))
    assert b"habit 0?" not in openai.contents["file-1"]
    assert len(openai.contents["file-1"].splitlines()) == 12


def test_the_loss_curve_may_come_from_checkpoints(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.checkpoints["ftjob-1"] = [
        {"id": "ckpt-1", "object": "fine_tuning.job.checkpoint", "created_at": 1, "fine_tuning_job_id": "ftjob-1"}
        | {"fine_tuned_model_checkpoint": "ft:x:ckpt-step-12", "step_number": 12}
        | {"metrics": {"step": 12, "train_loss": 1.5, "full_valid_loss": 1.7}}
    ]
    openai.advance("succeeded", fine_tuned_model="ft:x")
    assert look(job).losses == [[12, 1.5, 1.7]]


def test_many_events_come_once(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.advance("running")
    openai.train(250, total=300)
    job = look(job)
    assert (job.done, len(job.losses)) == (250, 250)
    asked = openai.count("GET /v1/fine_tuning/jobs/ftjob-1/events")
    openai.tell("Nearly there", level="warn")
    job = look(job)
    assert openai.count("GET /v1/fine_tuning/jobs/ftjob-1/events") == asked + 1
    assert [(one["level"], one["text"]) for one in job.events[-1:]] == [("warning", "Nearly there")]


# --- restarts ------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a killed worker is to the code that runs: no handler sees it."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["upload", "create_job", "job", "events", "delete_file"])
def test_killed_at_any_moment(openai: Server, monkeypatch: pytest.MonkeyPatch, call: str, when: str) -> None:
    """The worker dies before or after each call was answered; each file and the job are there exactly once."""
    real: Callable[..., Any] = getattr(OpenAITraining, call)
    deaths = []

    def dying(self: OpenAITraining, *arguments: Any, **values: Any) -> Any:
        if when == "after":
            found = real(self, *arguments, **values)
        if not deaths:
            deaths.append(call)
            raise Killed
        return found if when == "after" else real(self, *arguments, **values)

    monkeypatch.setattr(OpenAITraining, call, dying)
    job = waiting_job("openai")
    for _time in range(6):
        for other in openai.jobs.values():
            if other["status"] == "validating_files":
                openai.train(3, total=3)
            other |= {"status": "succeeded", "fine_tuned_model": "ft:x"}
        try:
            job = look(job)
        except Killed:
            FineTune.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
            assert not TunedModel.objects.exists()
            assert jobs.forgotten() == [job.pk]
        if job.state == State.DONE:
            break
    assert deaths == [call]
    assert job.state == State.DONE
    assert TunedModel.objects.get().model == "openai:ft:x"
    assert len(openai.requests) == 1
    assert len(openai.contents) == 2
    assert openai.files == {}


def test_an_upload_whose_answer_was_lost_is_not_done_twice(openai: Server) -> None:
    openai.faults["POST /v1/files"] = ["lost"]
    job = look(waiting_job("openai"))
    assert job.remote["tries"] == 1
    assert [one["level"] for one in job.events] == ["warning"]
    assert "cannot be reached" in job.events[0]["text"]
    job = look(job)
    assert (len(openai.contents), job.remote["files"]["train"]["id"]) == (2, "file-1")
    assert texts(job)[-1] == "OpenAI answers again."


def test_an_upload_that_was_cut_is_done_again(openai: Server) -> None:
    openai.faults["POST /v1/files"] = ["cut"]
    job = look(look(waiting_job("openai")))
    assert len(openai.contents) == 2
    assert job.remote["job"] == "ftjob-1"


def test_a_job_whose_answer_was_lost_is_found_again(openai: Server) -> None:
    openai.faults["POST /v1/fine_tuning/jobs"] = ["lost"]
    job = look(look(waiting_job("openai")))
    assert (len(openai.requests), job.remote["job"]) == (1, "ftjob-1")


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "fault", "code", "says"),
    [
        ("POST /v1/files", 401, "key_refused", "OpenAI refused the key; check OPENAI_API_KEY."),
        ("POST /v1/files", 403, "not_allowed", "You have insufficient permissions."),
        ("POST /v1/files", 402, "quota", "The account at OpenAI has no quota left"),
        ("POST /v1/files", 400, "refused", "OpenAI refused the request: Invalid file format."),
        ("POST /v1/fine_tuning/jobs", 400, "refused", "OpenAI refused the request: Invalid file format."),
        ("GET /v1/fine_tuning/jobs/", 404, "not_found", "OpenAI does not have it (any more)"),
    ],
)
def test_what_ends_it(openai: Server, place: str, fault: int, code: str, says: str) -> None:
    openai.faults[place] = [fault]
    job = look(waiting_job("openai"))
    assert (job.state, job.error_code) == (State.FAILED, code)
    assert says in job.error
    assert not TunedModel.objects.exists()
    assert openai.files == {}


@pytest.mark.parametrize("fault", [429, 500, 503, "cut"])
def test_what_is_tried_again(openai: Server, fault: Any) -> None:
    openai.faults["POST /v1/files"] = [fault] * 3
    job, waits = waiting_job("openai"), []
    for _time in range(3):
        FineTune.objects.filter(pk=job.pk).update(lease_until=None)
        waits.append(following.look(job_id=job.pk))
    job = jobs.get(job.pk)
    assert waits == [10, 20, 40]
    assert (job.state, job.remote["tries"], len(job.events)) == (State.RUNNING, 3, 1)
    assert job.events[0]["text"].endswith("it is tried again.")
    assert look(job).remote["job"] == "ftjob-1"


def test_after_a_day_it_is_given_up(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.faults["GET /v1/fine_tuning"] = [500] * 2
    job = look(job)
    long_ago = (timezone.now() - timedelta(hours=25)).isoformat()
    FineTune.objects.filter(pk=job.pk).update(remote={**job.remote, "away": long_ago})
    job = look(job)
    assert (job.state, job.error_code) == (State.FAILED, "away")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        ({"code": "invalid_training_file", "message": "Line 3 is wrong.", "param": None}, "file_refused", "Line 3 is"),
        ({"code": "server_error", "message": "It broke.", "param": None}, "failed_there", "It broke."),
        (None, "failed_there", "it gave no reason"),
    ],
)
def test_a_job_that_fails_there(openai: Server, error: Any, code: str, says: str) -> None:
    job = look(waiting_job("openai"))
    openai.advance("failed", error=error)
    job = look(job)
    assert (job.state, job.error_code) == (State.FAILED, code)
    assert says in job.error
    assert openai.files == {}
    assert not TunedModel.objects.exists()


def test_a_job_that_was_cancelled_there(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.advance("cancelled")
    assert look(job).error_code == "cancelled_there"


def test_an_example_that_would_be_refused_is_not_sent(openai: Server) -> None:
    dataset = frozen_set()
    wrong = dataset.examples.filter(split="train").first()
    assert wrong is not None
    Example.objects.filter(pk=wrong.pk).update(prompt=[{"role": "teacher", "content": "Hello"}])
    job = look(waiting_job("openai", dataset=dataset))
    assert (job.state, job.error_code) == (State.FAILED, "bad_example")
    assert f"example {wrong.pk}" in job.error
    assert openai.seen == []


def test_consent_taken_back_before_it_was_sent(openai: Server) -> None:
    job = waiting_job("openai")
    DataSet.objects.update(stale=timezone.now())
    assert look(job).error_code == "stale"
    assert openai.seen == []


def test_switched_off_meanwhile(openai: Server, settings: Any) -> None:
    job = waiting_job("openai")
    settings.COACH_OPENAI_TRAINING = False
    assert look(job).error_code == "cloud_off"
    assert openai.seen == []


def test_a_full_disk(openai: Server, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "finetunes").write_text("no folder")
    settings.DATA_DIR = tmp_path
    job = look(waiting_job("openai"))
    assert (job.state, job.error_code) == (State.FAILED, "disk")
    assert "could not be written" in job.error


def test_a_file_that_cannot_be_deleted_is_named(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.advance("succeeded", fine_tuned_model="ft:x")
    openai.faults["DELETE /v1/files/file-2"] = [500]
    job = look(job)
    assert job.state == State.DONE
    assert "file-2 could not be deleted at OpenAI" in texts(job)[-1]


# --- cancel --------------------------------------------------------------------------------------


def test_cancel_stops_it_there_and_deletes_the_files(openai: Server) -> None:
    job = look(waiting_job("openai"))
    jobs.cancel(job_id=job.pk)
    job = look(job)
    assert (job.state, openai.jobs["ftjob-1"]["status"]) == (State.CANCELLED, "cancelled")
    assert openai.files == {}
    assert not TunedModel.objects.exists()


def test_cancel_of_what_is_over_there(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.advance("succeeded", fine_tuned_model="ft:x")
    jobs.cancel(job_id=job.pk)
    assert look(job).state == State.CANCELLED
    assert not TunedModel.objects.exists()


def test_cancel_finds_what_was_lost(openai: Server) -> None:
    openai.faults["POST /v1/fine_tuning/jobs"] = ["lost"]
    job = look(waiting_job("openai"))
    jobs.cancel(job_id=job.pk)
    assert look(job).state == State.CANCELLED
    assert openai.jobs["ftjob-1"]["status"] == "cancelled"


def test_cancel_waits_until_openai_answers(openai: Server) -> None:
    job = look(waiting_job("openai"))
    jobs.cancel(job_id=job.pk)
    openai.faults["POST /v1/fine_tuning/jobs/ftjob-1/cancel"] = [500]
    job = look(job)
    assert job.state == State.RUNNING
    assert look(job).state == State.CANCELLED


def test_cancel_with_a_key_that_is_refused_ends_here(openai: Server) -> None:
    job = look(waiting_job("openai"))
    openai.key = "sk-other"
    jobs.cancel(job_id=job.pk)
    job = look(job)
    assert job.state == State.CANCELLED
    assert "OpenAI refused the key; check OPENAI_API_KEY." in texts(job)
    assert any("file-1 could not be deleted" in text for text in texts(job))
