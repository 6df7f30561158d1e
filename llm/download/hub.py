"""A model file from the Hugging Face hub (or the mirror in HF_ENDPOINT) or another address, resumed after a cut.

The hub says the SHA-256 of a large file in the header `X-Linked-ETag` and its size in `X-Linked-Size`, on its own
answer and not on that of the store it sends the client to.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Generator
from dataclasses import replace

import httpx
from django.utils.translation import gettext as _

from llm.catalogue import Entry, HubFile, LocalFile, WebFile

from .errors import DownloadBroken, DownloadCut, NoNetwork, NoSource
from .local import described_file
from .partial import Partial

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
ATTEMPTS = 5  # in a row without a single new byte
PAUSE_SECONDS = 1.0
_COMMIT_EVERY = 32 << 20
_REDIRECTS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")


def hub_url(source: HubFile) -> str:
    """The file's address as huggingface_hub builds it."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(source.repo, source.file, endpoint=os.environ.get("HF_ENDPOINT") or None)


def described(entry: Entry, source: HubFile | WebFile | LocalFile) -> Entry:
    """The entry with the exact size and the hash that the source itself says, where the catalogue lacks them.

    Raises NoSource when nobody knows the hash: a file that cannot be checked is not fetched.
    """
    if isinstance(source, LocalFile):
        return described_file(entry, source)
    if entry.sha256 and not entry.approximate:
        return entry
    size, sha256 = _size_and_hash(_url(source), entry)
    if isinstance(source, HubFile) and entry.sha256 and sha256 and sha256 != entry.sha256:
        raise DownloadBroken(
            _("The model hub has another file by now than the %(name)s of the catalogue.") % {"name": entry.name}
        )
    known = entry.sha256 or (sha256 if isinstance(source, HubFile) else "")
    if not known or size is None:
        raise NoSource(
            _("The source of %(name)s does not say its size and checksum, so it cannot be checked.")
            % {"name": entry.name}
        )
    return replace(entry, bytes=size, sha256=known, approximate=False)


def _url(source: HubFile | WebFile) -> str:
    return hub_url(source) if isinstance(source, HubFile) else source.url


def _size_and_hash(url: str, entry: Entry) -> tuple[int | None, str]:
    """What the headers of the file say: its bytes, and its SHA-256 or ''."""
    size, sha256 = None, ""
    try:
        with _client() as client:
            for _hop in range(_REDIRECTS):
                response = client.head(url, headers={"Accept-Encoding": "identity"}, follow_redirects=False)
                _refuse_missing(response, entry)
                linked = response.headers.get("x-linked-etag", "").strip('W/"')
                sha256 = sha256 or (linked if _SHA256.fullmatch(linked) else "")
                if size is None and response.headers.get("x-linked-size", "").isdecimal():
                    size = int(response.headers["x-linked-size"])
                if size is not None or not response.is_redirect:
                    break
                url = str(response.url.join(response.headers["location"]))
            if not response.is_redirect:
                response.raise_for_status()
    except httpx.HTTPError as error:
        raise NoNetwork(_("The source of %(name)s cannot be reached.") % {"name": entry.name}) from error
    if size is None and response.headers.get("content-length", "").isdecimal():
        size = int(response.headers["content-length"])
    return size, sha256


def _refuse_missing(response: httpx.Response, entry: Entry) -> None:
    if response.status_code in (401, 403):
        raise NoSource(
            _("The model hub gives %(name)s only to people who accepted its terms; set HF_TOKEN to your key.")
            % {"name": entry.name}
        )
    if response.status_code in (404, 410):
        raise NoSource(_("The model hub does not have %(name)s any more.") % {"name": entry.name})


def fetch_from_hub(entry: Entry, source: HubFile | WebFile, partial: Partial, report: Callable[[int], None]) -> None:
    """Complete `partial`; `report` gets the bytes present so far. Raises errors of this package."""
    url = _url(source)
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
                    raise DownloadCut(
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
        _refuse_missing(response, entry)
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
    token = os.environ.get("HF_TOKEN", "").strip()
    return httpx.Client(
        auth=_HubKey(token) if token else None,
        verify=ssl.create_default_context(cafile=bundle),
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=True,
    )


class _HubKey(httpx.Auth):
    """The person's own key, for the hub only: never for another host that it sends us to."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._host = httpx.URL(hub_url(HubFile("a/b", "c"))).host

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if request.url.host == self._host:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
