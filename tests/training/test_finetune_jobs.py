"""The life of a fine-tune: what is refused, who holds it, what is stored."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.training.finetune_rows import frozen_set, waiting_job
from training.finetune import jobs
from training.finetune.errors import (
    AlreadyOver,
    BadBase,
    BadName,
    BadOptions,
    CancelRequested,
    CloudOff,
    JobFailed,
    LeaseLost,
    NameTaken,
    NoKey,
    NotFound,
    NotFrozen,
    StaleData,
    TooFewExamples,
    WrongKind,
)
from training.finetune.options import LocalOptions
from training.models import DataSet, FineTune, TunedModel

pytestmark = pytest.mark.django_db
State = FineTune.State


def claimed(job: FineTune | None = None) -> FineTune:
    found = jobs.claim(job_id=(job or waiting_job()).pk)
    assert found is not None
    return found


def worker_dies(job: FineTune) -> None:
    FineTune.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": DataSet.State.REVIEW}, NotFrozen),
        ({"stale": timezone.now()}, StaleData),
        ({"kind": "preferences"}, WrongKind),
    ],
)
def test_data_that_may_not_be_trained_on(change: dict[str, Any], error: type[Exception]) -> None:
    dataset = frozen_set()
    DataSet.objects.filter(pk=dataset.pk).update(**change)
    with pytest.raises(error):
        waiting_job(dataset=dataset)
    assert not FineTune.objects.exists()


def test_only_approved_examples_for_training_count() -> None:
    dataset = frozen_set(train=12)
    dataset.examples.filter(split="train").order_by("pk").last().delete()
    dataset.examples.filter(pk__in=dataset.examples.filter(split="train").values("pk")[:2]).update(state="rejected")
    with pytest.raises(TooFewExamples, match="has 9 approved examples for training; at least 10 are needed"):
        waiting_job(dataset=dataset)


@pytest.mark.parametrize("name", ["", "two words", "-a", "å", "a" * 61, "../x"])
def test_bad_names(name: str) -> None:
    with pytest.raises(BadName):
        waiting_job(name=name)


def test_bad_bases_and_methods() -> None:
    for where, base in (("local", ""), ("local", "two words"), ("openai", "ollama:llama3")):
        with pytest.raises(BadBase):
            waiting_job(where, base=base, dataset=frozen_set())
    with pytest.raises(BadOptions, match="there are sft and dpo"):
        waiting_job(method="rl")
    with pytest.raises(WrongKind, match="needs a data set of preferences"):
        waiting_job(method="dpo")


def test_a_name_is_taken_by_a_model_and_by_a_job_that_runs() -> None:
    first = waiting_job()
    with pytest.raises(NameTaken):
        waiting_job()
    jobs.cancel(job_id=first.pk)
    TunedModel.objects.create(name="winter", model="llamacpp:lora/winter", base="x")
    with pytest.raises(NameTaken):
        waiting_job(name="winter")
    assert waiting_job().state == State.WAITING


def test_nothing_goes_to_openai_unless_it_was_turned_on(settings: Any) -> None:
    with pytest.raises(CloudOff, match="COACH_OPENAI_TRAINING=1"):
        waiting_job("openai")
    settings.COACH_OPENAI_TRAINING = True
    settings.OFFLINE = True
    with pytest.raises(CloudOff, match="COACH_OFFLINE"):
        waiting_job("openai")
    settings.OFFLINE = False
    with pytest.raises(NoKey):
        waiting_job("openai")
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"  # a server of one's own may need none
    settings.OFFLINE = True
    assert waiting_job("openai").where == "openai"


def test_what_is_stored(ada: Any) -> None:
    job = waiting_job(options={"epochs": 2}, user_id=ada.pk)
    assert job.options == LocalOptions(epochs=2).to_json()
    assert (job.state, job.attempts, job.lease_owner, job.created_by) == (State.WAITING, 0, "", ada)
    for wrong in (uuid.uuid4(), "no-id"):
        with pytest.raises(NotFound):
            jobs.get(wrong)


# --- the hold of a worker ------------------------------------------------------------------------


def test_one_worker_holds_it() -> None:
    job = claimed()
    assert jobs.claim(job_id=job.pk) is None
    assert jobs.held(job_id=job.pk, owner=job.lease_owner).pk == job.pk
    for owner in ("", "somebody"):
        with pytest.raises(LeaseLost):
            jobs.held(job_id=job.pk, owner=owner)
    jobs.release(job=job)
    again = claimed(job)
    assert (again.state, again.attempts) == (State.RUNNING, 0)
    with pytest.raises(LeaseLost):
        jobs.renew(job=job)


def test_progress_and_losses() -> None:
    job = claimed()
    before = job.lease_until
    jobs.progress(job=job, done=2, total=10, stage="training", losses=[[1, 3.5, None], [2, 3.1, 3.2]], seconds_left=8)
    jobs.progress(job=job, done=3, total=10, losses=[[2, 3.0, 3.2], [3, 2.8, None]])
    jobs.event(job=job, text="Half of it is done.")
    stored = jobs.get(job.pk)
    assert (stored.done, stored.total, stored.stage) == (3, 10, "training")
    assert stored.losses == [[1, 3.5, None], [2, 3.0, 3.2], [3, 2.8, None]]
    assert [(one["level"], one["text"]) for one in stored.events] == [("info", "Half of it is done.")]
    assert stored.lease_until >= before


def test_a_loss_without_bounds_can_be_stored() -> None:
    job = claimed()
    jobs.progress(job=job, done=1, total=2, losses=[[1, float("inf"), float("nan")], [2, 1.5, None]])
    assert jobs.get(job.pk).losses == [[1, None, None], [2, 1.5, None]]


def test_many_losses_are_thinned_out_but_held_out_ones_stay() -> None:
    job = claimed()
    rows = [[n, 1.0, 2.0 if n % 100 == 0 else None] for n in range(1, 5001)]
    jobs.progress(job=job, done=5000, total=5000, losses=rows)
    losses = jobs.get(job.pk).losses
    assert len(losses) <= jobs.MOST_LOSSES
    assert [row[0] for row in losses if row[2]] == list(range(100, 5001, 100))


def test_a_dead_worker_is_replaced_at_most_five_times_without_progress() -> None:
    job = claimed()
    first = job.lease_owner
    worker_dies(job)
    assert jobs.forgotten() == [job.pk]
    second = claimed(job)
    assert (second.attempts, second.lease_owner != first) == (1, True)
    with pytest.raises(LeaseLost):
        jobs.progress(job=job, done=9, total=9)
    jobs.fail(job=job, code="late", sentence="Late.")
    assert jobs.get(job.pk).state == State.RUNNING
    jobs.progress(job=second, done=1, total=9)
    assert jobs.get(job.pk).attempts == 0
    for _time in range(jobs.ATTEMPTS):
        worker_dies(job)
        assert claimed(job)
    worker_dies(job)
    assert jobs.forgotten() == []
    over = jobs.get(job.pk)
    assert (over.state, over.error_code) == (State.FAILED, "lost")
    assert over.error.startswith("The training stopped again and again")


def test_one_job_of_this_machine_at_a_time() -> None:
    first, second = claimed(), waiting_job(name="winter", dataset=frozen_set(name="Winter"))
    assert jobs.claim(job_id=second.pk) is None
    jobs.release(job=first)
    assert jobs.claim(job_id=second.pk) is None
    first = claimed(first)
    jobs.fail(job=first, code="broken", sentence="It broke.")
    assert jobs.claim(job_id=second.pk) is not None


# --- ends ----------------------------------------------------------------------------------------


def test_the_result_and_the_end_are_one_commit() -> None:
    job = claimed(waiting_job(dataset=frozen_set(synthetic=True)))
    jobs.progress(job=job, done=4, total=5)
    tuned = jobs.finish(
        job=job, model="llamacpp:lora/autumn", path="adapters/autumn", sha256="b" * 64, versions={"torch": "2"}
    )
    stored = jobs.get(job.pk)
    assert (stored.state, stored.done, stored.lease_owner, stored.versions) == (State.DONE, 5, "", {"torch": "2"})
    assert stored.finished is not None
    assert (tuned.finetune, tuned.base, tuned.synthetic, tuned.stale) == (job, job.base, True, None)
    with pytest.raises(AlreadyOver):
        jobs.cancel(job_id=job.pk)


def test_nothing_is_registered_by_a_worker_that_lost_it() -> None:
    job = claimed()
    worker_dies(job)
    claimed(job)
    with pytest.raises(LeaseLost):
        jobs.finish(job=job, model="llamacpp:lora/autumn")
    assert not TunedModel.objects.exists()


def test_nothing_is_registered_when_the_name_went_meanwhile() -> None:
    job = claimed()
    TunedModel.objects.create(name="autumn", model="openai:ft:x", base="x")
    with pytest.raises(JobFailed, match="took the name autumn"):
        jobs.finish(job=job, model="llamacpp:lora/autumn")
    assert jobs.get(job.pk).state == State.RUNNING
    assert TunedModel.objects.count() == 1


def test_consent_taken_back_while_it_trained_marks_the_result() -> None:
    job = claimed()
    DataSet.objects.filter(pk=job.dataset_id).update(stale=timezone.now())
    assert jobs.finish(job=job, model="llamacpp:lora/autumn").stale is not None


def test_cancel_at_once_when_nobody_works_on_it() -> None:
    job = jobs.cancel(job_id=waiting_job().pk)
    assert (job.state, job.cancel_requested) == (State.CANCELLED, True)
    with pytest.raises(NotFound):
        jobs.cancel(job_id=uuid.uuid4())


def test_cancel_reaches_the_worker() -> None:
    job = claimed()
    assert jobs.cancel(job_id=job.pk).state == State.RUNNING
    assert jobs.cancel_requested(job=job)
    for write in (lambda: jobs.renew(job=job), lambda: jobs.finish(job=job, model="x:y")):
        with pytest.raises(CancelRequested):
            write()
    assert not TunedModel.objects.exists()
    jobs.cancelled(job=job)
    assert jobs.get(job.pk).state == State.CANCELLED


def test_what_runs_is_first_stopped_where_it_runs() -> None:
    job = claimed()
    jobs.release(job=job, wait=600)
    assert jobs.forgotten() == []
    assert jobs.cancel(job_id=job.pk).state == State.RUNNING
    assert jobs.forgotten() == [job.pk]
    assert jobs.claim(job_id=job.pk) is None
    ending = jobs.claim(job_id=job.pk, to_cancel=True)
    assert ending is not None
    jobs.event(job=ending, text="It was stopped.")
    jobs.cancelled(job=ending)
    assert jobs.get(job.pk).state == State.CANCELLED


def test_nobody_looks_before_it_is_time() -> None:
    job = claimed()
    jobs.release(job=job, wait=30)
    assert jobs.claim(job_id=job.pk) is None
    FineTune.objects.filter(pk=job.pk).update(lease_until=timezone.now())
    assert jobs.forgotten() == []  # the message of the look before is on its way
    FineTune.objects.filter(pk=job.pk).update(lease_until=timezone.now() - jobs.OVERDUE)
    assert jobs.forgotten() == [job.pk]
    assert claimed(job).attempts == 0


def test_a_cancelled_job_that_kills_its_workers_ends_too() -> None:
    job = claimed()
    jobs.cancel(job_id=job.pk)
    for _time in range(jobs.ATTEMPTS):
        worker_dies(job)
        assert jobs.claim(job_id=job.pk, to_cancel=True)
    worker_dies(job)
    assert jobs.forgotten() == []
    assert jobs.get(job.pk).state == State.CANCELLED
