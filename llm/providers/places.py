"""Whether a URL points into this machine or its private network, and where the well-known clouds are."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from llm.types import Place

OPENAI_URL = "https://api.openai.com/v1"
HUGGINGFACE_URL = "https://router.huggingface.co/v1"


def place_of(url: str) -> Place:
    """LOCAL for loopback, private and link-local addresses, names without a dot, `.local`, `.internal`, `.lan`.

    Other names count as CLOUD without being looked up: a wrong LOCAL would show a private text to a stranger.
    """
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = bool(host) and ("." not in host or host.endswith((".local", ".internal", ".lan", ".localhost")))
    else:
        local = address.is_loopback or address.is_private or address.is_link_local
    return Place.LOCAL if local else Place.CLOUD


def ollama_place(name: str, url: str) -> Place:
    """A model that Ollama only passes on to its maker's cloud runs there, wherever Ollama itself runs."""
    return Place.CLOUD if name.endswith(("-cloud", ":cloud")) else place_of(url)
