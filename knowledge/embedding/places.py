"""Where an embedder runs: what leaves this network must be known before it leaves."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings


def is_cloud(id_: str) -> bool:
    """True for a server that is neither this machine nor one with a private address or a name without a dot."""
    provider = id_.partition(":")[0]
    if provider == "openai":
        return not is_private(settings.OPENAI_BASE_URL or "https://api.openai.com/v1")
    return provider == "ollama" and not is_private(settings.OLLAMA_BASE_URL)


def is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private
