"""`openai:NAME`: an OpenAI-compatible embedding service (OPENAI_BASE_URL, OPENAI_API_KEY)."""

from __future__ import annotations

from django.conf import settings

from .errors import EmbedderUnavailable
from .remote import RemoteEmbedder

MAX_TOKENS = 8000
TIMEOUT_SECONDS = 60.0


def named(name: str) -> RemoteEmbedder:
    """Raises EmbedderUnavailable when the service refuses or does not answer."""
    try:
        from langchain_openai import OpenAIEmbeddings
        from openai import OpenAIError
        from pydantic import SecretStr
    except ImportError as error:
        raise EmbedderUnavailable("The embedder openai needs the Python package langchain-openai.") from error
    if not settings.OPENAI_API_KEY and not settings.OPENAI_BASE_URL:
        raise EmbedderUnavailable("The embedder openai needs OPENAI_API_KEY.")
    embeddings = OpenAIEmbeddings(
        model=name,
        api_key=SecretStr(settings.OPENAI_API_KEY or "none"),
        base_url=settings.OPENAI_BASE_URL or None,
        check_embedding_ctx_length=False,  # else it sends token numbers, which other servers do not understand
        max_retries=0,
        timeout=TIMEOUT_SECONDS,
    )
    return RemoteEmbedder(f"openai:{name}", embeddings, (OpenAIError, ValueError), MAX_TOKENS)
