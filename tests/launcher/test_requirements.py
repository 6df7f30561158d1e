"""The requirement files hold what the code imports, every version is locked, and nothing names a registry."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.servers import ROOT

APPLICATION = ("accounts", "coach", "config", "knowledge", "launcher", "llm", "training")
ASKED_FOR = {
    "django",
    "channels",
    "chromadb",
    "sentence-transformers",
    "langchain",
    "langchain-ollama",
    "langchain-openai",
    "celery",
    "redis",
}
# Imported by a name whose distribution is chosen through another one.
BROUGHT_BY = {"asgiref": "django", "kombu": "celery", "pydantic": "django-ninja", "ollama": "langchain-ollama"}


@cache
def lines(name: str) -> list[Requirement]:
    text = (ROOT / name).read_text(encoding="utf-8")
    plain = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in plain if line and not line.startswith("-")]


@cache
def chosen() -> set[str]:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    first = text.partition("# === Part 2")[0]
    return {canonicalize_name(found) for found in re.findall(r"^([A-Za-z0-9_.-]+)", first, re.MULTILINE)}


def imported(*folders: str) -> Iterator[str]:
    """Distributions of what the code in these folders imports from outside."""
    distributions = packages_distributions()
    ours = {*APPLICATION, "tests", "bench"}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names = [node.module]
                for top in {name.partition(".")[0] for name in names}:
                    if top not in sys.stdlib_module_names and top not in ours:
                        yield canonicalize_name(distributions.get(top, [top])[0])


def test_what_was_asked_for_is_chosen() -> None:
    assert chosen() >= ASKED_FOR


def test_everything_imported_is_chosen() -> None:
    # Only tests and one optional, lazily imported extra of training may lean on other files.
    training = {canonicalize_name(found.name) for found in lines("requirements-training.txt")}
    development = {canonicalize_name(found.name) for found in lines("requirements-dev.txt")}
    # 121 MB for one kind of models: who wants it installs it, and its adapter says how.
    optional = {"gpt4all"}
    assert optional <= development
    missing = {BROUGHT_BY.get(name, name) for name in imported(*APPLICATION)} - chosen() - training - optional
    assert missing == set()


def test_everything_tests_import_is_locked() -> None:
    locked = {
        canonicalize_name(found.name) for name in ("requirements.txt", "requirements-dev.txt") for found in lines(name)
    }
    assert set(imported("tests", "bench")) - locked == set()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-training.txt"])
def test_every_version_is_exact_and_no_place_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|@", text)
    for found in lines(name):
        assert len(found.specifier) == 1, found
        assert next(iter(found.specifier)).operator == "==", found


@pytest.mark.parametrize("names", [("requirements.txt",), ("requirements.txt", "requirements-dev.txt")])
def test_the_lock_is_complete_and_is_what_runs_here(names: tuple[str, ...]) -> None:
    found = {canonicalize_name(line.name): line for name in names for line in lines(name)}
    loose, other = set(), set()
    for name, line in found.items():
        if line.marker is not None and not line.marker.evaluate():
            continue
        try:
            if not line.specifier.contains(version(name), prereleases=True):
                other.add(f"{name}: {version(name)} is installed, {line.specifier} is locked")
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            other.add(f"{name} is not installed")
            continue
        if name == "torch":
            continue  # which of its builds this machine gets (CPU or CUDA) decides what else it brings
        for text in needs:
            need = Requirement(text)
            extras = ["", *line.extras]
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                loose |= {f"{need.name} for {name}"} if canonicalize_name(need.name) not in found else set()
    assert loose == set()
    assert other == set()
