"""Long work in slices: progress, cancel, kill -9, two workers at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from knowledge import jobs
from knowledge.errors import IndexUnavailable
from knowledge.models import Job

from .quality import sent  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]


@pytest.fixture
def job(base: Any) -> Job:
    return jobs.ask(base=base, kind=Job.Kind.PAIRS)


def now(job: Job) -> Job:
    job.refresh_from_db()
    return job


def steps(count: int) -> Any:
    """Work of so many steps; each adds one to `found` and to what is stored."""

    def work(held: jobs.Slice) -> None:
        for at in range(int(held.job.cursor.get("at", 0)), count):
            with transaction.atomic():
                held.save({"at": at + 1}, done=at + 1, total=count, found=1)
            held.pause()

    return work


def test_the_same_wish_twice_is_one_job(base: Any, job: Job) -> None:
    assert jobs.ask(base=base, kind=Job.Kind.PAIRS) == job
    assert jobs.ask(base=base, kind=Job.Kind.PAIRS, options={"cloud": True}) != job


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_told(base: Any, sent: list[Any]) -> None:  # noqa: F811
    made = jobs.ask(base=base, kind=Job.Kind.MAP)
    assert sent == [("knowledge.tasks.run_job", "knowledge", str(made.pk))]


def test_slices_go_on_where_the_last_one_ended(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SLICE_SECONDS", -1.0)
    assert [jobs.run_slice(job_id=job.pk, work=steps(3)) for _ in range(4)] == [True, True, True, False]
    assert (now(job).state, job.done, job.found) == (Job.State.DONE, 3, 3)


def test_waiting_jobs_are_cancelled_at_once_and_running_ones_at_their_next_step(job: Job) -> None:
    def work(held: jobs.Slice) -> None:
        jobs.cancel(job_id=job.pk)
        with transaction.atomic():
            held.save({"at": 1}, done=1, total=2, found=1)

    assert not jobs.run_slice(job_id=job.pk, work=work)
    assert (now(job).state, job.found) == (Job.State.CANCELLED, 0)
    other = jobs.ask(base=job.base, kind=Job.Kind.MAP)
    jobs.cancel(job_id=other.pk)
    assert now(other).state == Job.State.CANCELLED
    assert not jobs.run_slice(job_id=other.pk, work=steps(1))


def test_a_killed_worker_is_followed_by_another_and_writes_nothing_more(job: Job) -> None:
    old: list[jobs.Slice] = []

    def killed(held: jobs.Slice) -> None:
        held.save({"at": 1}, done=1, total=2, found=1)
        old.append(held)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.run_slice(job_id=job.pk, work=killed)
    assert not jobs.run_slice(job_id=job.pk, work=steps(2)), "its heart may still beat"
    Job.objects.filter(pk=job.pk).update(beat=timezone.now() - jobs.LOST - timedelta(seconds=1))
    assert jobs.forgotten() == [job.pk]
    jobs.run_slice(job_id=job.pk, work=steps(2))
    assert (now(job).state, job.found) == (Job.State.DONE, 2)
    with pytest.raises(jobs.Cancelled):
        old[0].save({"at": 2}, done=2, total=2, found=1)
    assert now(job).found == 2


def test_three_deaths_at_the_same_place_are_the_end(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    def dies(held: jobs.Slice) -> None:
        raise KeyboardInterrupt

    for _ in range(jobs.ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            jobs.run_slice(job_id=job.pk, work=dies)
        Job.objects.filter(pk=job.pk).update(beat=timezone.now() - jobs.LOST - timedelta(seconds=1))
    assert jobs.forgotten() == []
    assert (now(job).state, job.error_code) == (Job.State.FAILED, "lost")
    assert caplog.text.count("three times") == 1
    assert jobs.forgotten() == []
    assert caplog.text.count("three times") == 1, "nothing ended this time"


def test_an_index_that_is_away_is_asked_again_and_then_named(job: Job) -> None:
    def away(held: jobs.Slice) -> None:
        raise IndexUnavailable

    jobs.run_slice(job_id=job.pk, work=away)
    assert now(job).state == Job.State.WAITING
    for _ in range(jobs.ATTEMPTS - 1):
        jobs.run_slice(job_id=job.pk, work=away)
    assert (now(job).state, job.error_code) == (Job.State.FAILED, "index_unavailable")
    assert "vector index" in jobs.data(job)["error"]


def test_what_is_busy_is_asked_later_without_counting(job: Job) -> None:
    def busy(held: jobs.Slice) -> None:
        raise jobs.Later

    for _ in range(5):
        assert not jobs.run_slice(job_id=job.pk, work=busy)
    assert (now(job).state, job.attempts) == (Job.State.WAITING, 0)
    assert jobs.forgotten() == []
    Job.objects.filter(pk=job.pk).update(beat=timezone.now() - jobs.FORGOTTEN - timedelta(seconds=1))
    assert jobs.forgotten() == [job.pk]


def test_a_job_that_cannot_be_done_says_why(job: Job) -> None:
    def fails(held: jobs.Slice) -> None:
        raise jobs.JobFailed("empty", jobs.NOTHING_INDEXED)

    jobs.run_slice(job_id=job.pk, work=fails)
    assert now(job).state == Job.State.FAILED
    assert jobs.data(job)["error"] == jobs.NOTHING_INDEXED
    assert jobs.of_base(job.base, Job.Kind.PAIRS) == [job]
