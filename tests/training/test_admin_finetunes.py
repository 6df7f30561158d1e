"""The panel's pages of fine-tunes and the calendar: what they show, what they store, who may open them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.training.finetune_rows import frozen_set, waiting_job
from tests.training.openai_server import Server, openai_server
from training.finetune import jobs
from training.models import EvaluationRun, Export, FineTune, TunedModel

pytestmark = pytest.mark.django_db
ADD = "/admin/training/finetune/add/"


@pytest.fixture
def admin(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def openai(settings: Any) -> Iterator[Server]:
    with openai_server() as server:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, server.key
        settings.COACH_OPENAI_TRAINING = True
        yield server


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    return str(path)


def values(**changes: Any) -> dict[str, Any]:
    from training.models import DataSet

    found = {"dataset": DataSet.objects.get().pk, "where": "local", "base": "x", "name": "autumn", "method": "sft"}
    return {**found, "act": "start", **changes}


# --- start ---------------------------------------------------------------------------------------


def test_without_a_frozen_set_there_is_nothing_to_start(admin: Client) -> None:
    assert "There is no frozen data set yet" in admin.get(ADD).content.decode()


def test_start_here(admin: Client, ada: Any, model: str) -> None:
    frozen_set()
    page = admin.get(ADD).content.decode()
    assert "COACH_OPENAI_TRAINING=1" in page
    assert "openai_n_epochs" not in page
    answer = admin.post(ADD, values(base=model, local_epochs="5", local_learning_rate="0.0003"))
    job = FineTune.objects.get()
    assert answer.headers["Location"] == reverse("admin:training_finetune_change", args=[job.pk])
    assert (job.options["epochs"], job.options["learning_rate"], job.options["batch"]) == (5, 0.0003, 4)
    assert (job.created_by, job.base) == (ada, model)


def test_the_model_that_runs_is_proposed(admin: Client, settings: Any, tmp_path: Path) -> None:
    from llm import catalogue
    from training.finetune.selectors import local_bases

    settings.CACHE_DIR, settings.DATA_DIR = tmp_path, tmp_path
    (tmp_path / "models").mkdir()
    names = ["qwen2.5-coder-1.5b", "smollm2-135m"]
    files = {name: tmp_path / "models" / catalogue.entries()[name].file for name in names}
    for path in files.values():
        path.touch()
    settings.LLAMACPP_SERVER = {}
    assert local_bases() == ["smollm2-135m", "qwen2.5-coder-1.5b"]
    settings.LLAMACPP_SERVER = {"url": "http://127.0.0.1:9", "model": str(files["qwen2.5-coder-1.5b"])}
    assert local_bases() == ["qwen2.5-coder-1.5b", "smollm2-135m"]
    frozen_set()
    assert 'value="qwen2.5-coder-1.5b"' in admin.get(ADD).content.decode()


def test_estimate_first(admin: Client, model: str) -> None:
    frozen_set()
    page = admin.post(ADD, values(base=model, act="estimate")).content.decode()
    assert "about 1 minute" in page
    assert not FineTune.objects.exists()


def test_openai_says_what_leaves_and_what_it_costs(admin: Client, openai: Server) -> None:
    frozen_set()
    page = admin.get(ADD).content.decode()
    assert "What leaves this machine" in page
    assert openai.url in page
    wanted = values(where="openai", base="gpt-4o-mini-2024-07-18", openai_n_epochs="3")
    page = admin.post(ADD, {**wanted, "act": "estimate"}).content.decode()
    assert "USD" in page
    assert "openai:gpt-4o-mini-2024*" in page
    page = admin.post(ADD, wanted).content.decode()
    assert "Tick this if the examples may leave this machine." in page
    assert not FineTune.objects.exists()
    admin.post(ADD, {**wanted, "cloud_meant": "on"})
    job = FineTune.objects.get()
    assert (job.where, job.options["n_epochs"], job.options["delete_files"]) == ("openai", 3, False)
    assert job.cost["currency"] == "USD"
    assert openai.seen == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "two words"}, "The name may have up to 60"),
        ({"base": "nothing.gguf"}, "nothing.gguf is not here"),
        ({"local_epochs": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"where": "openai"}, "Select a valid choice."),
        ({"method": "dpo"}, "needs a data set of preferences"),
    ],
)
def test_refused_in_words(admin: Client, model: str, changes: dict[str, str], says: str) -> None:
    frozen_set()
    assert says in admin.post(ADD, values(**{"base": model, **changes})).content.decode()
    assert not FineTune.objects.exists()


# --- one of them ---------------------------------------------------------------------------------


def trained(**after: Any) -> FineTune:
    job = jobs.claim(job_id=waiting_job().pk)
    assert job is not None
    rows = [[step, 3.0 - step / 10, 3.0 - step / 12 if step % 5 == 0 else None] for step in range(1, 16)]
    jobs.progress(job=job, done=15, total=20, stage="training", losses=rows, seconds_left=70)
    jobs.event(job=job, text="The base model is loaded.")
    FineTune.objects.filter(pk=job.pk).update(**after)
    return job


def test_the_page_of_one_that_runs(admin: Client) -> None:
    job = trained()
    page = admin.get(reverse("admin:training_finetune_change", args=[job.pk])).content.decode()
    for text in ("Step 15 of 20", "1 minute left", "Loss by step", "The base model is loaded.", "polyline"):
        assert text in page
    live = admin.get(reverse("admin:training_finetune_live", args=[job.pk])).content.decode()
    assert live.strip().startswith('<div class="ac-stack" data-live>')
    assert "Step 15 of 20" in live


def test_the_curve_has_the_steps_that_were_measured() -> None:
    from training.finetune.selectors import loss_chart

    few = FineTune(losses=[[1, 3.0, None], [2, 2.0, 2.5], [3, 1.0, None]])
    assert [row.label for row in loss_chart(few).rows] == ["1", "2", "3"]
    rows = [[0, None, 4.0], [1, 3.0, None], [2, 2.0, 2.5], [3, 1.0, 2.0], [4, 1.5, None]]
    chart = loss_chart(FineTune(losses=rows))
    assert [(row.label, *row.cells) for row in chart.rows] == [
        ("0", "–", "4.000"),
        ("2", "2.500", "2.500"),
        ("3", "1.000", "2.000"),
        ("4", "1.500", "–"),
    ]
    assert loss_chart(FineTune(losses=[])).empty


def test_the_page_of_one_that_is_over(admin: Client) -> None:
    job = trained()
    jobs.finish(job=job, model="llamacpp:lora/autumn")
    page = admin.get(reverse("admin:training_finetune_change", args=[job.pk])).content.decode()
    assert "llamacpp:lora/autumn" in page
    assert reverse("admin:training_tunedmodel_change", args=[TunedModel.objects.get().pk]) in page
    compare = reverse("admin:training_comparison_add") + f"?candidate={TunedModel.objects.get().pk}"
    assert compare in page
    tuned = admin.get(reverse("admin:training_tunedmodel_change", args=[TunedModel.objects.get().pk])).content.decode()
    assert compare in tuned
    assert reverse("admin:training_finetune_change", args=[job.pk]) in tuned
    assert "from 2.583 to 1.750: 32 % less" in page
    assert "data-over" in page


def test_what_went_wrong_is_shown(admin: Client) -> None:
    job = trained()
    jobs.fail(job=job, code="no_memory", sentence="The memory was too small <b>.")
    page = admin.get(reverse("admin:training_finetune_change", args=[job.pk])).content.decode()
    assert "The memory was too small &lt;b&gt;." in page


def test_cancel(admin: Client) -> None:
    job = waiting_job()
    url = reverse("admin:training_finetune_cancel", args=[job.pk])
    assert admin.get(url).status_code == 403
    admin.post(url)
    assert jobs.get(job.pk).state == "cancelled"
    assert "This fine-tune is over already." in admin.post(url, follow=True).content.decode()


def test_the_list(admin: Client) -> None:
    trained()
    page = admin.get(reverse("admin:training_finetune_changelist")).content.decode()
    assert "autumn" in page
    assert "75%" in page
    assert admin.get(reverse("admin:training_tunedmodel_changelist")).status_code == 200


def test_what_runs_cannot_be_deleted(admin: Client) -> None:
    job = waiting_job()
    url = reverse("admin:training_finetune_delete", args=[job.pk])
    assert admin.get(url).status_code == 403
    jobs.cancel(job_id=job.pk)
    assert admin.get(url).status_code == 200


def test_by_permission(client: Client, alice: Any) -> None:
    job = waiting_job()
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    pages = [
        reverse("admin:training_finetune_change", args=[job.pk]),
        reverse("admin:training_finetune_live", args=[job.pk]),
        reverse("admin:training_finetune_changelist"),
        reverse("admin:training_calendar"),
    ]
    assert {client.get(page).status_code for page in [*pages, ADD]} == {403}
    alice.user_permissions.add(Permission.objects.get(codename="view_finetune"))
    assert {client.get(page).status_code for page in pages} == {200}
    assert client.get(ADD).status_code == 403
    assert client.post(reverse("admin:training_finetune_cancel", args=[job.pk])).status_code == 403
    assert "data-confirm" not in client.get(pages[0]).content.decode()
    assert (
        client.get(reverse("admin:training_finetune_live", args=["00000000-0000-4000-8000-000000000000"])).status_code
        == 404
    )


# --- calendar ------------------------------------------------------------------------------------


def made(model: Any, moment: datetime, **fields: Any) -> Any:
    row = model.objects.create(**fields)
    model.objects.filter(pk=row.pk).update(created=moment)
    return row


def days(page: str) -> list[str]:
    return page.split("<td")[1:]


def test_a_month_of_jobs(admin: Client) -> None:
    begin = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
    dataset = frozen_set(name="Spring")
    type(dataset).objects.filter(pk=dataset.pk).update(created=begin, frozen=begin + timedelta(days=2))
    made(Export, begin, kind="openai", state="failed")
    made(FineTune, begin, where="local", dataset=dataset, base="x", name="march", state="running", done=1, total=4)
    made(EvaluationRun, begin - timedelta(days=40), kind="retrieval", data="winterset", embedder="e5")
    page = admin.get(reverse("admin:training_calendar"), {"month": "2026-03"}).content.decode()
    assert "March 2026" in page
    full = [day for day in days(page) if "ac-entry" in day]
    assert len(full) == 2
    assert all(text in full[0] for text in ("09:30", "march", "25\xa0%", "OpenAI", "Spring", 'data-state="failed"'))
    assert "Spring" in full[1]
    assert "winterset" not in page
    assert "?month=2026-02" in page
    assert "?month=2026-04" in page
    only = admin.get(reverse("admin:training_calendar"), {"month": "2026-03", "kind": "export"}).content.decode()
    assert "march" not in only
    assert "?month=2026-04&amp;kind=export" in only or "?month=2026-04&kind=export" in only


def test_a_full_day_and_a_strange_month(admin: Client) -> None:
    for _n in range(8):
        made(Export, timezone.now(), kind="csv", state="done", finished=timezone.now())
    page = admin.get(reverse("admin:training_calendar"), {"month": "tomorrow"}).content.decode()
    assert "3 more" in page
    assert timezone.localdate().strftime("%B %Y") in page
    assert (
        "Nothing in this month." in admin.get(reverse("admin:training_calendar"), {"month": "1901-01"}).content.decode()
    )


def test_only_what_one_may_see(client: Client, alice: Any) -> None:
    made(Export, timezone.now(), kind="csv", state="done")
    waiting_job(name="secretjob")
    alice.is_staff = True
    alice.save()
    alice.user_permissions.add(Permission.objects.get(codename="view_export"))
    client.force_login(alice)
    page = client.get(reverse("admin:training_calendar")).content.decode()
    assert "CSV" in page
    assert "secretjob" not in page
