from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from training import tasks_data, wake
from training.datasets import build
from training.datasets import services as datasets
from training.exports import services as exports
from training.models import DataSet, Export, ExportSchedule

from .test_datasets import talks  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("talks")]


def test_each_task_is_known_and_has_a_known_queue():
    for task in (
        tasks_data.run_export,
        tasks_data.build_dataset,
        tasks_data.ask_scheduled_exports,
        tasks_data.sweep_data,
    ):
        assert task.queue in settings.CELERY_TASK_QUEUES
    assert (tasks_data.run_export.name, tasks_data.build_dataset.name) == (wake.EXPORT, wake.BUILD)


def test_an_export_and_a_data_set():
    export, dataset = exports.ask(kind="csv", given={}), datasets.create(name="Autumn")
    tasks_data.run_export(str(export.pk))
    tasks_data.build_dataset(dataset.pk)
    assert Export.objects.get().state == "done" and DataSet.objects.get().state == "review"
    exports.delete(export_id=export.pk)


def test_a_slice_queues_the_next_one(monkeypatch, django_capture_on_commit_callbacks):
    sent: list[tuple] = []
    monkeypatch.setattr("llm.wake.send", lambda task, _queue, key, seconds: sent.append((task, key)))
    monkeypatch.setattr(build, "CONVERSATIONS_AT_ONCE", 3)
    monkeypatch.setattr(build, "SLICE_SECONDS", 0)
    dataset = datasets.create(name="Slow")
    with django_capture_on_commit_callbacks(execute=True):
        tasks_data.build_dataset(dataset.pk)
    assert sent == [(wake.BUILD, dataset.pk)]


def test_the_sweeper_and_the_clock(monkeypatch, django_capture_on_commit_callbacks):
    sent: list[tuple] = []
    monkeypatch.setattr("llm.wake.send", lambda task, _queue, key, seconds: sent.append((task, key)))
    export, dataset = exports.ask(kind="csv", given={}), datasets.create(name="Forgotten")
    long_ago = timezone.now() - timedelta(minutes=5)
    Export.objects.update(created=long_ago)
    DataSet.objects.update(created=long_ago)
    with django_capture_on_commit_callbacks(execute=True):
        tasks_data.sweep_data()
    assert sent == [(wake.EXPORT, str(export.pk)), (wake.BUILD, dataset.pk)]
    sent.clear()
    ExportSchedule.objects.create(kind="openai", every="week")
    with django_capture_on_commit_callbacks(execute=True):
        tasks_data.ask_scheduled_exports()
        tasks_data.ask_scheduled_exports()
    asked = Export.objects.exclude(pk=export.pk).get()
    assert sent == [(wake.EXPORT, str(asked.pk))] and asked.schedule.last


def test_no_broker_is_no_error(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        wake.export_soon(exports.ask(kind="csv", given={}).pk)
    assert Export.objects.get().state == "waiting"
