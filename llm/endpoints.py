"""Model servers of one's own choice, `openai:NAME@SLUG`: their addresses and keys (the table Endpoint).

Adapters are asked for inside an event loop, where no SQL may be, so they read a snapshot of this process.
`refresh` renews it from a thread; after a change in the admin every process follows within five seconds.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from .errors import LanguageModelError, UnknownModel
from .providers.faults import from_status, unreachable
from .providers.places import place_of
from .registry import parse_models
from .types import Health, ModelId, Place

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

    from .models import Endpoint

log = logging.getLogger(__name__)

REMEMBERED = 5.0
TEST_SECONDS = 5.0
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Server:
    """A row as the adapters need it; `readable` is False when SECRET_KEY is no longer the one of the key."""

    slug: str
    url: str
    key: str = field(default="", repr=False)
    context_tokens: int | None = None
    readable: bool = True


_servers: dict[str, Server] = {}
_read_at: float | None = None
_reading = threading.Lock()


def split_name(model_id: ModelId) -> tuple[str, str]:
    """Name and slug of a model; the slug is '' for all but `openai:NAME@SLUG`."""
    name, at, slug = model_id.name.rpartition("@")
    return (name, slug) if at and model_id.provider == "openai" else (model_id.name, "")


def find(slug: str) -> Server | None:
    """The server called `slug` in the snapshot; outside of an event loop the table is asked when it is not there."""
    if slug not in _servers and not _in_event_loop():
        refresh()
    return _servers.get(slug)


def refresh_for(models: Iterable[ModelId]) -> None:
    """Renew the snapshot if one of the models needs it, at most every five seconds. Not in an event loop."""
    if any(split_name(model)[1] for model in models) and (_read_at is None or time.monotonic() - _read_at > REMEMBERED):
        refresh()


def refresh() -> None:
    """Read all servers now; what was known stays when the database does not answer."""
    global _servers, _read_at
    from .models import Endpoint  # what imports this file may do so before Django is set up

    opened_here = connection.connection is None
    with _reading:
        try:
            _servers = {row.slug: _server(row) for row in Endpoint.objects.all()}
        except DatabaseError as error:
            log.warning("the model servers could not be read: %s", error)
        finally:
            if opened_here:  # a thread that is lent to many tasks keeps no connection of its own
                connection.close()
        _read_at = time.monotonic()


def forget() -> None:
    """Ask the database again next time."""
    global _servers, _read_at
    _servers, _read_at = {}, None


def checked_models(text: str) -> list[ModelId]:
    """As `parse_models`, and every model server it names exists. Raises UnknownModel. Not in an event loop."""
    models = parse_models(text)
    if any(split_name(model)[1] for model in models):
        refresh()
    for model in models:
        slug = split_name(model)[1]
        if slug and slug not in _servers:
            raise unknown(model)
    return models


def unknown(model: ModelId) -> UnknownModel:
    return UnknownModel(
        _("%(model)s names a model server that does not exist; add %(slug)s under Model servers in the admin.")
        % {"model": model, "slug": repr(split_name(model)[1])}
    )


def problem_with(url: str) -> str:
    """One sentence about an address that cannot be a model server's, '' for a good one."""
    try:
        parts = urlsplit(url)
        wrong_port = parts.port == 0
    except ValueError:
        return _("This is no address; write it like http://127.0.0.1:8000/v1.")
    if parts.scheme not in ("http", "https") or not parts.hostname or wrong_port or any(c.isspace() for c in url):
        return _("The address must begin with http:// or https:// and name a server.")
    if parts.username is not None or parts.password is not None:
        return _("The address must not hold a name or password; put the key in its own field.")
    if parts.query or parts.fragment:
        return _("The address must end before any ? or #.")
    return ""


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses lead to the same server: a key given for one is never sent to another."""
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port)


def set_key(*, endpoint: Endpoint, key: str) -> None:
    """Put the key into the row, encrypted; '' takes it out. Does not save."""
    endpoint.secret = _fernet().encrypt(key.encode()).decode("ascii") if key else ""


def ask(endpoint: Endpoint) -> Health:
    """Whether the server answers with its list of models, in one sentence either way. Waits up to 5 s."""
    server = _server(endpoint)
    name = ModelId(server.slug)
    if not server.readable:
        return Health(False, unreadable(server))
    try:
        answer = httpx.get(
            f"{server.url}/models",
            headers={"Authorization": f"Bearer {server.key}"} if server.key else {},
            timeout=TEST_SECONDS,
            trust_env=place_of(server.url) is Place.CLOUD,
        )
        if answer.status_code != 200:
            raise from_status(name, max(answer.status_code, 400), answer.text, answer.headers)
        listed = [str(model["id"]) for model in answer.json()["data"]]
    except httpx.HTTPError:
        return Health(False, str(unreachable(name, server.url)))
    except (ValueError, KeyError, TypeError):
        return Health(
            False, _("%(server)s answers, but not as OpenAI does; does its address end in /v1?") % {"server": name}
        )
    except LanguageModelError as error:
        return Health(False, str(error))
    shown = ", ".join(listed[:_NAMES_SHOWN]) + (", …" if len(listed) > _NAMES_SHOWN else "")
    return Health(True, _("%(server)s answers. Its models: %(models)s") % {"server": name, "models": shown or "–"})


def unreadable(server: Server) -> str:
    return _("The key of %(server)s cannot be read, because SECRET_KEY has changed; enter it again.") % {
        "server": server.slug
    }


def _server(row: Endpoint) -> Server:
    from cryptography.fernet import InvalidToken

    key, readable = "", True
    if row.secret:
        try:
            key = _fernet().decrypt(row.secret.encode("ascii")).decode()
        except (InvalidToken, ValueError):
            readable = False
    return Server(row.slug, row.url.rstrip("/"), key, row.context_tokens, readable)


def _fernet() -> MultiFernet:
    """Encrypts with SECRET_KEY and reads what its predecessors in SECRET_KEY_FALLBACKS have written."""
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet(
        [
            Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"llm.endpoints:" + str(secret).encode()).digest()))
            for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        ]
    )


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
