"""What is installed, what fits, what may be removed; fetching from a hub, an own file, Ollama and the hub's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from llm import local_models, trial
from llm.catalogue import Entry, LocalFile, WebFile, entries, models_dir
from llm.download import (
    AlreadyFetching,
    Cancelled,
    DownloadBroken,
    DownloadCut,
    DownloadError,
    NoNetwork,
    NoSource,
    NotEnoughDisk,
    Progress,
    fetch,
    is_present,
    part_bytes,
    snapshot,
)
from llm.download import (
    hub as hub_downloads,
)
from llm.errors import UnknownModel
from llm.fetching import fetch_model, own_file, refuse_early, wanted
from llm.local_errors import InUse, NotInstalled, TestFailed
from llm.machine import Machine
from llm.models import LiveOrder
from tests.servers import free_port

from .model_sources import CONTENT, SHA256, Hub, OllamaServer

GB = 10**9


def _quiet(_progress: Progress) -> None:
    pass


def _full(_folder: Any) -> Any:
    return shutil._ntuple_diskusage(10**12, 10**12, 10**6)  # type: ignore[attr-defined]


def _left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# --- names ---------------------------------------------------------------------------------------


def test_what_names_mean() -> None:
    assert wanted("qwen3-4b").entry is entries()["qwen3-4b"]
    assert str(wanted("llamacpp:qwen3-4b")) == "llamacpp:qwen3-4b"
    assert (wanted("ollama:llama3.2:3b").provider, wanted("ollama:llama3.2:3b").name) == ("ollama", "llama3.2:3b")
    assert wanted("huggingface:HuggingFaceTB/SmolLM2-135M-Instruct").provider == "huggingface"
    entry = wanted("llamacpp:maker/model/deep/file-q4.gguf").entry
    assert entry is not None
    assert (entry.file, entry.sha256) == ("maker--model--file-q4.gguf", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpt-5",
        "openai:gpt-4o",
        "llamacpp:../../etc/passwd",
        "llamacpp:/etc/x.gguf",
        "llamacpp:a/../x.gguf",
        "huggingface:one",
        "huggingface:../etc",
        "ollama:",
        "ollama:a b",
    ],
)
def test_other_names_are_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(UnknownModel, match="is not known; take a name from"):
        wanted(text)


# --- the hub -------------------------------------------------------------------------------------


def test_a_file_whose_hash_only_the_hub_knows_is_checked_by_it(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    path = Path(fetch_model(wanted("unknown"), _quiet))
    assert path.read_bytes() == CONTENT
    assert is_present(small_catalogue["unknown"], models_dir())
    assert [(method, way) for method, way, _range in hub.asked][:2] == [
        ("HEAD", "/maker/unknown/resolve/main/unknown.gguf"),
        ("GET", "/maker/unknown/resolve/main/unknown.gguf"),
    ]
    hub.asked.clear()
    fetch(small_catalogue["unknown"], models_dir(), _quiet, recheck=True)
    assert hub.asked == []


def test_a_wrong_byte_is_refused_deleted_and_said(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    hub.lies = True
    for name in ("unknown", "known"):
        with pytest.raises(DownloadBroken, match=f"not the {name} its makers published, so it was deleted"):
            fetch_model(wanted(name), _quiet)
    assert _left(models_dir()) == set()


def test_without_any_hash_nothing_is_fetched(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    hub.without_hash = True
    with pytest.raises(NoSource, match="does not say its size and checksum"):
        fetch_model(wanted("unknown"), _quiet)
    assert hub.ranges == []
    assert Path(fetch_model(wanted("known"), _quiet)).is_file()


def test_a_catalogue_hash_that_the_hub_no_longer_has_is_said_before_the_download(
    small_catalogue: dict[str, Entry], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    small_catalogue["other"] = replace(small_catalogue["other"], approximate=True)
    with pytest.raises(DownloadBroken, match="has another file by now than the other"):
        fetch_model(wanted("other"), _quiet)
    assert hub.ranges == []


def test_a_cut_download_goes_on_where_it_stopped(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    hub.cut = (400_000, 2)
    assert Path(fetch_model(wanted("unknown"), _quiet)).read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=400000-", "bytes=800000-"]


def test_a_later_start_goes_on_after_a_cancellation_and_a_cut_for_good(
    small_catalogue: dict[str, Entry], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done > 300_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch_model(wanted("unknown"), stop)
    here = part_bytes(small_catalogue["unknown"], models_dir())
    assert 300_000 < here < len(CONTENT)
    monkeypatch.setattr(hub_downloads, "ATTEMPTS", 2)
    hub.cut = (0, 99)
    with pytest.raises(DownloadCut, match="start again to go on from there"):
        fetch_model(wanted("unknown"), _quiet)
    hub.cut = (0, 0)
    hub.asked.clear()
    fetch_model(wanted("unknown"), _quiet)
    assert hub.ranges == [f"bytes={here}-"]


def test_a_full_disk_is_said_before_anything_is_fetched(
    small_catalogue: dict[str, Entry], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", _full)
    for attempt in (lambda: refuse_early(wanted("known")), lambda: fetch_model(wanted("unknown"), _quiet)):
        with pytest.raises(NotEnoughDisk, match=r"needs 0\.3 GB in .*, but only 0\.0 GB are free"):
            attempt()
    assert hub.ranges == []


def test_any_gguf_of_the_hub_but_nothing_else(hub: Hub) -> None:
    hub.files["/org/repo/tiny.gguf"], hub.files["/org/repo/no.gguf"] = CONTENT, b"<html>" * 1000
    path = Path(fetch_model(wanted("llamacpp:org/repo/tiny.gguf"), _quiet))
    assert path == models_dir() / "org--repo--tiny.gguf"
    with pytest.raises(DownloadBroken, match="is not a GGUF file"):
        fetch_model(wanted("llamacpp:org/repo/no.gguf"), _quiet)
    assert _left(models_dir()) == {path.name, f".{path.name}.ok"}
    with pytest.raises(NoSource, match="does not have"):
        fetch_model(wanted("llamacpp:org/repo/gone.gguf"), _quiet)


def test_offline_and_without_a_network_one_sentence_says_so(
    small_catalogue: dict[str, Entry], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OFFLINE = True
    for name in ("known", "ollama:llama3.2", "huggingface:org/repo"):
        with pytest.raises(NoNetwork, match="COACH_OFFLINE forbids"):
            fetch_model(wanted(name), _quiet)
    settings.OFFLINE = False
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoNetwork, match="cannot be reached"):
        fetch_model(wanted("unknown"), _quiet)


def test_a_file_that_another_process_fetches_is_not_waited_for(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    tried = []

    def meanwhile(_progress: Progress) -> None:
        if not tried:
            tried.append(True)
            with pytest.raises(AlreadyFetching, match="being fetched by another process"):
                fetch_model(wanted("known"), _quiet, wait=False)

    fetch_model(wanted("known"), meanwhile)
    assert tried


def test_the_key_for_the_hub_goes_to_no_other_host(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub_downloads._client() as client:
        own = client.auth.sync_auth_flow(client.build_request("GET", f"{hub.url}/a"))  # type: ignore[union-attr]
        other = client.auth.sync_auth_flow(client.build_request("GET", "http://store.example/a"))  # type: ignore[union-attr]
        assert next(own).headers["Authorization"] == "Bearer hf_secret"
        assert "Authorization" not in next(other).headers


# --- own files -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_file_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    original = tmp_path / "mine.gguf"
    original.write_bytes(CONTENT)
    path = fetch(own_file("mine", LocalFile(original), ""), models_dir(), _quiet, offline=True)
    assert path.read_bytes() == CONTENT
    assert [model.model for model in local_models.installed()] == ["llamacpp:mine.gguf"]
    assert local_models.remove(model="llamacpp:mine.gguf") == "llamacpp:mine.gguf"
    assert (path.exists(), original.exists()) == (False, True)


def test_a_file_of_ones_own_that_is_wrong(hub: Hub, tmp_path: Path) -> None:
    original = tmp_path / "mine.gguf"
    for content, sha256, words in (
        (b"PK\x03\x04" * 100, "", "is not a GGUF file"),
        (CONTENT, "0" * 64, "not the mine.gguf its makers published"),
    ):
        original.write_bytes(content)
        with pytest.raises(DownloadBroken, match=words):
            fetch(own_file("mine", LocalFile(original), sha256), models_dir(), _quiet)
    with pytest.raises(NoSource, match="cannot be read"):
        fetch(own_file("mine", LocalFile(tmp_path / "gone.gguf"), ""), models_dir(), _quiet)
    assert _left(models_dir()) == set()


def test_a_file_from_an_address_needs_the_right_hash(hub: Hub) -> None:
    hub.files["/files/own.gguf"] = CONTENT
    source = WebFile(f"{hub.url}/store/files/own.gguf")
    with pytest.raises(DownloadBroken):
        fetch(own_file("own", source, hashlib.sha256(b"x").hexdigest()), models_dir(), _quiet)
    assert fetch(own_file("own", source, SHA256), models_dir(), _quiet).read_bytes() == CONTENT


# --- Ollama --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_ollama_pulls_with_progress_and_goes_on_after_a_stop(ollama_server: OllamaServer) -> None:
    ollama_server.library["llama3.2:3b"] = 2 * GB
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if progress.done >= GB:
            raise Cancelled

    ollama_server.holds_at = GB
    with pytest.raises(Cancelled):
        fetch_model(wanted("ollama:llama3.2:3b"), stop)
    ollama_server.holds_at = 0
    ollama_server.left.set()
    assert [step.done for step in seen][:4] == [0, 0, GB // 5, 2 * GB // 5]
    assert not seen[0].safe
    assert seen[-1].safe
    seen.clear()
    assert fetch_model(wanted("ollama:llama3.2:3b"), seen.append) == "ollama:llama3.2:3b"
    assert next(step.done for step in seen if step.done) >= GB
    assert {step.stage for step in seen} == {"download", "check"}
    assert not seen[-1].safe
    assert [model.model for model in local_models.installed() if model.provider == "ollama"] == ["ollama:llama3.2:3b"]


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ("pull model manifest: file does not exist", NoSource, "library has no model"),
        ("write /root/.ollama/blobs: no space left on device", NotEnoughDisk, "disk became full"),
        ("dial tcp: lookup registry.ollama.ai: no such host", NoNetwork, "cannot reach its library"),
        ("digest mismatch, file must be downloaded again", DownloadBroken, "not the m its makers published"),
        ("something else", DownloadError, "Ollama could not fetch m: something else"),
    ],
)
def test_what_ollama_reports_in_its_stream(
    ollama_server: OllamaServer, words: str, error: type[DownloadError], sentence: str
) -> None:
    ollama_server.refuses = words
    with pytest.raises(error, match=sentence):
        fetch_model(wanted("ollama:m"), _quiet)


def test_ollama_that_ends_early_or_is_away(ollama_server: OllamaServer, settings: Any) -> None:
    ollama_server.library["m"], ollama_server.ends = GB, True
    with pytest.raises(DownloadCut, match="before it was whole"):
        fetch_model(wanted("ollama:m"), _quiet)
    settings.OLLAMA_BASE_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NoNetwork, match="No Ollama answers at"):
        fetch_model(wanted("ollama:m"), _quiet)


def test_ollamas_disk_is_looked_at_where_it_is_on_this_machine(
    ollama_server: OllamaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ollama_server.library["m"] = 50 * GB
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", _full)
    with pytest.raises(NotEnoughDisk, match=r"m needs 50\.3 GB"):
        fetch_model(wanted("ollama:m"), _quiet)


# --- transformers --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_transformers_model_into_the_hubs_cache(hub: Hub) -> None:
    hub.files |= {
        "/org/small/config.json": b'{"model_type": "llama"}',
        "/org/small/model.safetensors": CONTENT,
        "/org/small/pytorch_model.bin": b"pickled",
        "/org/small/onnx/model.json": b"{}",
    }
    seen: list[Progress] = []
    folder = Path(fetch_model(wanted("huggingface:org/small"), seen.append))
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert seen[-1].total == len(CONTENT) + 23
    found = [model for model in local_models.installed() if model.provider == "huggingface"]
    assert [(model.model, model.bytes) for model in found] == [("huggingface:org/small", len(CONTENT) + 23)]
    assert local_models.remove(model="huggingface:org/small") == "huggingface:org/small"
    assert snapshot.installed() == []
    with pytest.raises(NotInstalled):
        local_models.remove(model="huggingface:org/small")


def test_a_transformers_model_goes_on_after_a_stop(hub: Hub) -> None:
    hub.files |= {"/org/small/config.json": b"{}", "/org/small/model.safetensors": CONTENT}
    hub.slow = 0.02

    def stop(progress: Progress) -> None:
        if progress.done > 300_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch_model(wanted("huggingface:org/small"), stop)
    assert snapshot.installed() == [], "half a model is none"
    hub.slow = 0.0
    hub.asked.clear()
    folder = Path(fetch_model(wanted("huggingface:org/small"), _quiet))
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert any(start.startswith("bytes=") for start in hub.ranges)
    assert [repo for repo, _size in snapshot.installed()] == ["org/small"]


def test_a_transformers_model_that_is_not_what_it_should_be(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files["/org/pickled/pytorch_model.bin"] = b"pickled"
    with pytest.raises(NoSource, match="no safetensors weights"):
        fetch_model(wanted("huggingface:org/pickled"), _quiet)
    with pytest.raises(NoSource, match="has no model org/gone"):
        fetch_model(wanted("huggingface:org/gone"), _quiet)
    hub.files |= {"/org/small/config.json": b"{}", "/org/small/model.safetensors": CONTENT}
    hub.lies = True
    with pytest.raises(DownloadBroken, match="so it was deleted"):
        fetch_model(wanted("huggingface:org/small"), _quiet)
    assert not any(snapshot.repository_folder("org/small").glob("snapshots/*/model.safetensors"))
    monkeypatch.setattr(shutil, "disk_usage", _full)
    with pytest.raises(NotEnoughDisk):
        fetch_model(wanted("huggingface:org/small"), _quiet)


# --- what fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        (Machine(4 * GB, 2), ["qwen2.5-coder-1.5b"]),
        (Machine(16 * GB, 4), ["phi-4-mini", "gemma-3-4b", "qwen2.5-3b"]),
        (Machine(32 * GB, 8), ["eurollm-9b", "qwen2.5-7b", "phi-4-mini"]),
        (Machine(GB, 1), []),
        (Machine(2_500_000_000, 1), ["smollm2-135m"]),
    ],
)
def test_the_recommendation_follows_memory_and_cores(machine: Machine, names: list[str]) -> None:
    found = [entry.name for entry in local_models.recommend(machine)]
    assert found[: len(names)] == names


def test_a_gpu_counts_for_what_ollama_can_run() -> None:
    found = [entry.name for entry in local_models.recommend(Machine(16 * GB, 2, gpu_bytes=24 * GB))]
    assert "qwen3-30b-a3b" in found or "gemma-3-12b" in found
    assert all(entries()[name].ollama for name in found)


# --- list and remove -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_is_installed(
    small_catalogue: dict[str, Entry], ollama_server: OllamaServer, settings: Any, tmp_path: Path
) -> None:
    fetch_model(wanted("known"), _quiet)
    (models_dir() / "own.gguf").write_bytes(CONTENT)
    ollama_server.add("llama3.2:latest")
    settings.COACH_MODELS = "ollama:llama3.2,llamacpp:known"
    LiveOrder.objects.create(order="llamacpp:own.gguf")
    found = {model.model: model for model in local_models.installed()}
    assert {name: (model.bytes, model.checked, model.in_use) for name, model in found.items()} == {
        "llamacpp:known": (len(CONTENT), True, True),
        "llamacpp:own.gguf": (len(CONTENT), False, True),
        "ollama:llama3.2:latest": (2_019_393_189, True, True),
    }
    for name in found:
        with pytest.raises(InUse, match="is in use; take it out of the order"):
            local_models.remove(model=name)
    assert {model.model for model in local_models.installed()} == set(found)


@pytest.mark.django_db
def test_what_a_coach_names_stays(small_catalogue: dict[str, Entry]) -> None:
    from coach.models import Coach

    fetch_model(wanted("known"), _quiet)
    coach = Coach.objects.create(slug="own", name="C", mode="personal", language_models="guided, llamacpp:known")
    with pytest.raises(InUse):
        local_models.remove(model="known")
    coach.delete()
    local_models.remove(model="known")
    assert _left(models_dir()) == set()


@pytest.mark.django_db
def test_what_the_embedded_server_runs_stays(small_catalogue: dict[str, Entry], settings: Any) -> None:
    path = fetch_model(wanted("known"), _quiet)
    settings.LLAMACPP_SERVER = {"url": "http://127.0.0.1:1", "model": path}
    with pytest.raises(InUse):
        local_models.remove(model="known")
    settings.LLAMACPP_SERVER = {}
    local_models.remove(model="known")
    assert _left(models_dir()) == set()
    with pytest.raises(NotInstalled, match="llamacpp:known is not installed"):
        local_models.remove(model="known")


@pytest.mark.django_db
def test_removing_takes_the_unfinished_part_too(small_catalogue: dict[str, Entry], hub: Hub) -> None:
    def stop(_progress: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch_model(wanted("known"), stop)
    assert part_bytes(small_catalogue["known"], models_dir()) > 0
    local_models.remove(model="known")
    assert _left(models_dir()) == set()


@pytest.mark.django_db
def test_removing_from_ollama(ollama_server: OllamaServer, settings: Any) -> None:
    settings.COACH_MODELS = "guided"
    ollama_server.add("llama3.2:3b")
    local_models.remove(model="ollama:llama3.2:3b")
    assert ollama_server.asked[-1] == ("DELETE", "/api/delete", {"model": "llama3.2:3b"})
    assert ollama_server.tags == []
    with pytest.raises(NoSource, match="Ollama has no model"):
        local_models.remove(model="ollama:llama3.2:3b")


# --- trying out ----------------------------------------------------------------------------------


async def test_a_file_that_is_no_model_is_said_in_one_sentence(small_catalogue: dict[str, Entry]) -> None:
    import asyncio

    await asyncio.to_thread(fetch_model, wanted("known"), _quiet)
    with pytest.raises(TestFailed, match=r"known\.gguf could not be loaded: The model server could not start"):
        await trial.try_out("known")
    with pytest.raises(NotInstalled):
        await trial.try_out("unknown")


@pytest.mark.real_model
async def test_a_real_model_is_tried_out_on_a_server_of_its_own() -> None:
    if not is_present(entries()["smollm2-135m"], models_dir()):
        pytest.skip("no model file; fetch it with `manage.py fetchmodels smollm2-135m`")
    found = await trial.try_out("smollm2-135m")
    assert found.model == "llamacpp:smollm2-135m"
    assert len(found.answer) > 10
    assert 0 < found.first_token_seconds < found.seconds
    assert found.tokens_per_second > 1
