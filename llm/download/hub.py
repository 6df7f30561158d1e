"""A model file from the Hugging Face hub (or the mirror in HF_ENDPOINT), resumed after a cut."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable

import httpx
from django.utils.translation import gettext as _

from llm.catalogue import Entry, HubFile

from .errors import DownloadBroken, NoNetwork, NoSource
from .partial import Partial

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
ATTEMPTS = 5  # in a row without a single new byte
PAUSE_SECONDS = 1.0
_COMMIT_EVERY = 32 << 20


def hub_url(source: HubFile) -> str:
    """The file's address as huggingface_hub builds it."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(source.repo, source.file, endpoint=os.environ.get("HF_ENDPOINT") or None)


def fetch_from_hub(entry: Entry, source: HubFile, partial: Partial, report: Callable[[int], None]) -> None:
    """Complete `partial`; `report` gets the bytes present so far. Raises errors of this package."""
    url = hub_url(source)
    failures = 0
    with _client() as client:
        while partial.size < entry.bytes:
            before = partial.size
            try:
                _continue(client, url, entry, partial, report)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
                raise NoNetwork(_("The model hub cannot be reached from this machine.")) from error
            except httpx.HTTPError as error:
                failures = failures + 1 if partial.size == before else 0
                if failures >= ATTEMPTS:
                    raise DownloadBroken(
                        _("The download of %(name)s was cut off again and again; start again to go on from there.")
                        % {"name": entry.name}
                    ) from error
                time.sleep(PAUSE_SECONDS)


def _continue(client: httpx.Client, url: str, entry: Entry, partial: Partial, report: Callable[[int], None]) -> None:
    """One request for what is missing. Raises httpx.HTTPError when it is cut; what came is kept."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code in (401, 403, 404, 410):
            raise NoSource(_("The model hub does not have %(name)s any more.") % {"name": entry.name})
        if response.status_code == 416 or (response.status_code == 200 and partial.size):
            partial.restart()  # the server does not continue files: from the beginning then
        if response.status_code not in (200, 206):
            response.raise_for_status()
            raise httpx.RemoteProtocolError(f"unexpected status {response.status_code}")
        expected = entry.bytes - partial.size
        if int(response.headers.get("content-length", expected)) != expected:
            raise DownloadBroken(_("The model hub offers another file than %(name)s.") % {"name": entry.name})
        with partial.append_to() as file:
            try:
                since_commit = 0
                for block in response.iter_raw():
                    since_commit += file.write(block)
                    report(file.tell())
                    if since_commit >= _COMMIT_EVERY:
                        partial.commit(file, done=0)
                        since_commit = 0
            finally:
                partial.commit(file, done=0)


def _client() -> httpx.Client:
    """Trusts the system's authorities, or the file that pip or requests users already name."""
    bundle = next((os.environ[name] for name in ("REQUESTS_CA_BUNDLE", "PIP_CERT") if os.environ.get(name)), None)
    return httpx.Client(
        verify=ssl.create_default_context(cafile=bundle),
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=True,
    )
