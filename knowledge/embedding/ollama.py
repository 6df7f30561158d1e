"""`ollama:NAME`: an embedding model of an Ollama server (OLLAMA_BASE_URL)."""

from __future__ import annotations

from django.conf import settings

from .errors import EmbedderUnavailable
from .remote import RemoteEmbedder

MAX_TOKENS = 512  # the least of the usual embedding models
TIMEOUT_SECONDS = 60.0


def named(name: str) -> RemoteEmbedder:
    """Raises EmbedderUnavailable when the server or the model is not there."""
    try:
        import httpx
        from langchain_ollama import OllamaEmbeddings
        from ollama import RequestError, ResponseError
    except ImportError as error:
        raise EmbedderUnavailable("The embedder ollama needs the Python package langchain-ollama.") from error
    embeddings = OllamaEmbeddings(
        model=name, base_url=settings.OLLAMA_BASE_URL, client_kwargs={"timeout": TIMEOUT_SECONDS}
    )
    errors = (RequestError, ResponseError, httpx.HTTPError, ConnectionError, ValueError)
    return RemoteEmbedder(f"ollama:{name}", embeddings, errors, MAX_TOKENS)
