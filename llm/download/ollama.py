"""Models of an Ollama server, by its own HTTP interface: list, pull (NDJSON progress), delete."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from llm.providers.places import place_of
from llm.types import Place

from .disk import refuse_a_full_disk
from .errors import DownloadBroken, DownloadCut, DownloadError, NoNetwork, NoSource, NotEnoughDisk

CONNECT_SECONDS = 2.0
LIST_SECONDS = 2.0
READ_SECONDS = 60.0  # a registry that is slow to begin


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """`digest` is the SHA-256 of its manifest; `detail` such as "3.2B Q4_K_M"."""

    name: str
    bytes: int
    digest: str
    detail: str


def installed() -> list[OllamaModel]:
    """The models of the Ollama at OLLAMA_BASE_URL; [] when none answers. Costs at most 2 s."""
    try:
        with _client(LIST_SECONDS) as client:
            answer = client.get("/api/tags")
            answer.raise_for_status()
            return [_model(found) for found in answer.json()["models"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return []


def pull(name: str, report: Callable[[int, int, str, bool], None]) -> None:
    """Have Ollama fetch a model; it checks every layer's digest itself and goes on where it stopped before.

    `report` gets bytes here, bytes in all, "download" or "check", and whether ending now loses nothing.
    Closing the connection, as anything that `report` raises does, makes Ollama stop.
    """
    layers: dict[str, tuple[int, int]] = {}
    try:
        with _client(READ_SECONDS) as client, client.stream("POST", "/api/pull", json={"model": name}) as response:
            if response.status_code != 200:
                response.read()
                raise _refused(name, _error_of(response.text) or f"HTTP {response.status_code}")
            for line in _lines(response):
                if "error" in line:
                    raise _refused(name, str(line["error"]))
                if line.get("status") == "success":
                    return
                if line.get("digest") and line.get("total"):
                    layers[str(line["digest"])] = (int(line.get("completed") or 0), int(line["total"]))
                done, total = (sum(values) for values in zip(*layers.values(), strict=True)) if layers else (0, 0)
                _refuse_a_full_disk(name, total - done)
                coming = not layers or done < total
                report(done, total, "download" if coming else "check", bool(layers) and coming)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise _away() from error
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise DownloadCut(
            _("The download of %(name)s was cut off again and again; start again to go on from there.") % {"name": name}
        ) from error
    raise DownloadCut(_("Ollama ended the download of %(name)s before it was whole; start it again.") % {"name": name})


def delete(name: str) -> None:
    """Raises NoSource when Ollama has no such model, NoNetwork when it does not answer."""
    try:
        with _client(READ_SECONDS) as client:
            answer = client.request("DELETE", "/api/delete", json={"model": name})
    except httpx.HTTPError as error:
        raise _away() from error
    if answer.status_code == 404:
        raise NoSource(_("Ollama has no model %(name)s.") % {"name": name})
    if answer.status_code != 200:
        raise DownloadError(_error_of(answer.text) or f"HTTP {answer.status_code}")


def _client(seconds: float) -> httpx.Client:
    url = settings.OLLAMA_BASE_URL.rstrip("/")
    timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
    return httpx.Client(base_url=url, timeout=timeout, trust_env=place_of(url) is Place.CLOUD)


def _lines(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.strip():
            yield json.loads(line)


def _model(found: dict[str, Any]) -> OllamaModel:
    details = found.get("details") or {}
    detail = " ".join(str(details.get(key) or "") for key in ("parameter_size", "quantization_level")).strip()
    return OllamaModel(str(found["name"]), int(found.get("size") or 0), str(found.get("digest") or ""), detail)


def _error_of(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refused(name: str, reason: str) -> DownloadError:
    """From Ollama's own words."""
    words = reason.lower()
    if "file does not exist" in words or "not found" in words:
        return NoSource(_("Ollama's library has no model %(name)s.") % {"name": name})
    if "no space left" in words:
        return NotEnoughDisk(_("The disk became full while %(name)s was fetched; free some space.") % {"name": name})
    if any(word in words for word in ("no such host", "dial tcp", "connection refused", "i/o timeout", "lookup ")):
        return NoNetwork(_("Ollama cannot reach its library; check the network."))
    if "digest mismatch" in words:
        return DownloadBroken(
            _("What arrived is not the %(name)s its makers published, so it was deleted; try again later.")
            % {"name": name}
        )
    return DownloadError(_("Ollama could not fetch %(name)s: %(reason)s") % {"name": name, "reason": reason})


def _away() -> NoNetwork:
    return NoNetwork(_("No Ollama answers at %(url)s; start it or set OLLAMA_BASE_URL.") % {"url": _shown_url()})


def _shown_url() -> str:
    return str(httpx.URL(settings.OLLAMA_BASE_URL).copy_with(userinfo=b""))


def _refuse_a_full_disk(name: str, missing: int) -> None:
    """Only where Ollama's folder is on this machine; else it says so itself."""
    folder = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models")
    if missing > 0 and folder.is_dir() and httpx.URL(settings.OLLAMA_BASE_URL).host in ("127.0.0.1", "localhost"):
        refuse_a_full_disk(name, folder, missing)
