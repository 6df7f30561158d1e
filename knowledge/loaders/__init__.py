"""Readers of uploaded files: one module per format, named in the registry and imported only in the sandbox.

    sandbox.load(path, suffix)        in the worker: asks the zygote, waits, renews leases
      └── zygote ── child             a fork for each group of files, with limits
                     ├─ sniff.check        signature, extension and content agree
                     └─ REGISTRY[suffix]   path → LoadedDocument

A new format is one line here and one module with `load(path) -> LoadedDocument` (see CONTRIBUTING).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from .errors import WrongType
from .types import LoadedDocument

Loader = Callable[[Path], LoadedDocument]

REGISTRY: dict[str, str] = {
    ".txt": "knowledge.loaders.txt:load",
    ".md": "knowledge.loaders.markdown:load",
    ".markdown": "knowledge.loaders.markdown:load",
    ".html": "knowledge.loaders.html:load",
    ".htm": "knowledge.loaders.html:load",
    ".pdf": "knowledge.loaders.pdf:load",
    ".docx": "knowledge.loaders.docx:load",
    ".pptx": "knowledge.loaders.pptx:load",
    ".xlsx": "knowledge.loaders.xlsx:load",
    ".csv": "knowledge.loaders.csv:load",
    ".tsv": "knowledge.loaders.csv:load",
    ".odt": "knowledge.loaders.odt:load",
    ".epub": "knowledge.loaders.epub:load",
    ".eml": "knowledge.loaders.eml:load",
    ".srt": "knowledge.loaders.transcript:load",
    ".vtt": "knowledge.loaders.transcript:load",
}
ARCHIVE = ".zip"  # holds documents and is none: archive.py


def known_suffix(filename: str) -> str:
    """The lower-case suffix of a file name ('.pdf'). Raises WrongType when no loader reads it."""
    suffix = Path(filename).suffix.lower()
    if suffix not in REGISTRY:
        raise WrongType
    return suffix


def loader_for(suffix: str) -> Loader:
    """The loader of a suffix of the registry; imports its module."""
    module, name = REGISTRY[suffix].split(":")
    loader: Loader = getattr(importlib.import_module(module), name)
    return loader
