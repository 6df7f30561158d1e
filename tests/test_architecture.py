"""Rules of the house that no reviewer should have to watch over."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "llm", "knowledge", "coach", "training", "config", "launcher")

# --- imports -------------------------------------------------------------------------------------

VENDORS = re.compile(
    r"^(langchain\w*|langgraph|openai|ollama|chromadb|chromadb_rust_bindings|sentence_transformers|transformers|torch|peft"
    r"|onnxruntime|onnx|tokenizers|xllamacpp|huggingface_hub|httpx2|gguf|gpt4all|accelerate|docx|pypdf|pypdfium2|markdown_it|lxml)(\.|$)"
)
# The adapter files: each integration is one file, added and deleted as a unit.
ADAPTERS = (
    "llm/providers/*.py",
    "llm/llamacpp_server.py",
    "llm/download/hub.py",
    "llm/download/snapshot.py",
    "knowledge/embedding/*.py",
    "knowledge/loaders/*.py",
    "launcher/chroma_server.py",
    "training/finetune/trainer*.py",
    "training/finetune/gguf_adapter.py",
    "training/finetune/openai_api.py",
)
# Processes of their own, never imported by another.
SCRIPTS = ("launcher/chroma_server.py", "llm/llamacpp_server.py")
# What a child process for one file imports at its top costs nobody else anything.
CHILD = ("knowledge/loaders/*.py",)


def sources() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT)


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module or ""]
    return []


def at_import_time(module: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported; what stands under TYPE_CHECKING does not."""
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def matches(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(path.match(pattern) for pattern in patterns)


def test_vendors_stay_in_their_adapter_files() -> None:
    wrong = [
        f"{path}: {name}"
        for path in sources()
        if not matches(path, ADAPTERS)
        for node in ast.walk(tree(path))
        for name in imported(node)
        if VENDORS.match(name)
    ]
    assert wrong == []


def test_vendors_are_imported_lazily() -> None:
    wrong = [
        f"{path}: {name}"
        for path in sources()
        if not matches(path, SCRIPTS + CHILD)
        for node in at_import_time(tree(path))
        for name in imported(node)
        if VENDORS.match(name)
    ]
    assert wrong == []


# Nothing a page needs; each cost the web process megabytes before somebody looked.
HEAVY = ("numpy", "nltk", "datasketch", "phonenumbers", "celery", "kombu")


def test_the_web_process_knows_no_model_no_embedder_and_no_numbers() -> None:
    """Every page and socket is imported, then the modules of the process are looked at."""
    code = (
        "import sys, config.asgi; from django.urls import get_resolver; get_resolver().url_patterns; "
        "from django.contrib import admin; admin.site.urls; print('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert sorted(name for name in loaded if VENDORS.match(name) or name in HEAVY) == []


def test_imports_go_one_way() -> None:
    tool = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    assert tool, "import-linter is part of requirements-dev.txt"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


# --- owners --------------------------------------------------------------------------------------

# What anybody may read: the page to sign in, health, the list of coaches, static texts of the API.
PUBLIC = {
    "GET /api/v1/openapi.json",
    "GET /api/v1/coaches",
    "POST /api/v1/conversations",  # makes a guest where guests are allowed
}
PUBLIC_PAGES = {
    "",  # the chat page itself: guests, or a redirect
    "welcome/",
    "accounts/login/",
    "accounts/logout/",
    "accounts/signup/",
    "i18n/setlang/",
    "healthz",
    "readyz",
    "metrics",  # loopback only, see config/health.py and its test
}


def operations() -> list[tuple[str, str]]:
    """(method, path) of every REST operation."""
    from config.api import api

    return [
        (method.upper(), path)
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"}
    ]


def filled(path: str) -> str:
    """The path with ids that exist nowhere."""
    return re.sub(
        r"\{(\w+)\}",
        lambda m: "1" if m.group(1) == "n" else "nothing" if m.group(1) == "slug" else str(uuid.uuid4()),
        path,
    )


@pytest.mark.django_db
def test_every_rest_operation_asks_who_is_there(client: Client) -> None:
    wrong = []
    for method, path in operations():
        answer = client.generic(method, filled(path), data="{}", content_type="application/json")
        if f"{method} {path}" not in PUBLIC and answer.status_code not in {401, 403, 404}:
            wrong.append(f"{method} {path}: {answer.status_code}")
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"].startswith("application/json"), (method, path)
            assert set(answer.json()) >= {"code", "message"}, (method, path)
    assert wrong == []


def owned(coach_talk: Any) -> dict[str, str]:
    """Ids of things that belong to alice, by the name they have in paths."""
    from coach import services
    from coach.models import Turn

    turn = uuid.uuid4()
    services.ask(user_id=coach_talk.owner_id, turn_id=turn, conversation_id=coach_talk.pk, text="What is a habit?")
    services.claim(turn_id=turn, runner="test")
    services.finish_turn(turn_id=turn, runner="test", outcome=services.Outcome(state=Turn.State.DONE, answer="A loop."))
    return {"conversation_id": str(coach_talk.pk), "turn_id": str(turn), "n": "1"}


# Valid bodies, so that the answer is about the owner and not about the body.
BODIES = {
    "PUT /api/v1/turns/{turn_id}/rating": '{"rating": 5}',
    "PUT /api/v1/turns/{turn_id}/edit": '{"text": "A loop of cue and reward."}',
    "PATCH /api/v1/conversations/{conversation_id}": '{"title": "Habits"}',
    "PUT /api/v1/conversations/{conversation_id}/training": '{"kept_out": true}',
    "POST /api/v1/knowledge-bases/{slug}/search": '{"query": "habits"}',
}


@pytest.mark.django_db
def test_what_belongs_to_somebody_else_is_not_there(client: Client, talk: Any, bob: Any) -> None:
    """bob asks for alice's things by their true ids: 404 like an id that does not exist; staff-only paths say 403."""
    ids, wrong, tried = owned(talk), [], 0
    client.force_login(bob)
    for method, path in operations():
        names = re.findall(r"\{(\w+)\}", path)
        if not names:
            continue
        known = [name for name in names if name in ids]
        url = re.sub(r"\{(\w+)\}", lambda m: ids.get(m.group(1), str(uuid.uuid4())), path)
        body = BODIES.get(f"{method} {path}", "{}")
        answer = client.generic(method, url, data=body, content_type="application/json")
        expected = {404} if known else {403, 404}
        tried += bool(known)
        if answer.status_code not in expected:
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []
    assert tried >= 5


def pages(patterns: Any, prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def url_of(route: str) -> str:
    values = {"uuid": str(uuid.uuid4()), "int": "1", "slug": "nothing", "str": "nothing", "path": "nothing"}
    url = re.sub(r"<(?:(\w+):)?\w+>", lambda m: values[m.group(1) or "str"], route)
    return "/" + re.sub(r"\(\?P<\w+>[^)]*\)", "nothing", url).replace("^", "").replace("$", "").replace("\\", "")


@pytest.mark.django_db
def test_every_page_is_public_on_purpose_or_asks_who_is_there(client: Client, ada: Any) -> None:
    """Without a session each page leads to a login, refuses, or is not there; ada exists, so `welcome` is closed."""
    wrong = []
    for route in pages(get_resolver().url_patterns):
        if route in PUBLIC_PAGES or route.startswith("api/v1/"):
            continue
        answer = client.get(url_of(route))
        to_login = answer.status_code == 302 and "login" in answer.headers["Location"]
        if not to_login and answer.status_code not in {403, 404, 405} and route != "admin/login/":
            moved = answer.status_code in {301, 302} and answer.headers["Location"].startswith("/admin/")
            if not moved and not route.startswith(("admin/jsi18n", "admin/logout")):
                wrong.append(f"{route}: {answer.status_code}")
    assert wrong == []


@pytest.mark.django_db
def test_a_coachee_is_no_administrator(client: Client, alice: Any) -> None:
    client.force_login(alice)
    for route in pages(get_resolver().url_patterns):
        if route.startswith("admin/") and "login" not in route and "logout" not in route and "jsi18n" not in route:
            answer = client.get(url_of(route))
            assert answer.status_code in {301, 302, 403, 404, 405}, route


def test_every_message_type_of_the_socket_has_its_owner_test() -> None:
    """A new `case "…"` in the consumer must come with a test that somebody else is refused."""
    consumer = tree(Path("coach/consumers.py"))
    kinds = {
        case.pattern.value.value
        for node in ast.walk(consumer)
        if isinstance(node, ast.Match)
        for case in node.cases
        if isinstance(case.pattern, ast.MatchValue) and isinstance(case.pattern.value, ast.Constant)
    }
    tested = (ROOT / "tests/coach/test_protocol_bad_frames.py").read_text(encoding="utf-8")
    listed = re.search(r'parametrize\("kind", (\[[^\]]*\])\)', tested)
    assert listed is not None
    assert kinds == set(ast.literal_eval(listed.group(1)))


# --- queues --------------------------------------------------------------------------------------


def test_every_task_names_a_queue_that_a_worker_reads() -> None:
    from config.celery import app
    from launcher import programs

    app.loader.import_default_modules()
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert ours
    known = set(settings.CELERY_TASK_QUEUES)
    assert {name: task.queue for name, task in ours.items() if getattr(task, "queue", None) not in known} == {}
    command = programs.worker().command
    assert set(command[command.index("-Q") + 1].split(",")) == known


def test_every_entry_of_the_clock_is_a_task() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)


# --- size, migrations, translations ------------------------------------------------------------

LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 400, 60


def test_files_and_functions_stay_small() -> None:
    wrong = []
    for path in sources():
        module = tree(path)
        lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
        if lines > LINES_OF_A_FILE:
            wrong.append(f"{path}: {lines} lines")
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > LINES_OF_A_FUNCTION:
                    wrong.append(f"{path}: {node.name} has {length} lines")
    assert wrong == []


FORBIDDEN = re.compile(r"# type: ignore(?!\[)|except BaseException|\bTODO\b|\bFIXME\b")
HOMES = re.compile(r"(?<![\w.-])/(root|work|opt)/")


def test_nothing_is_left_undone() -> None:
    wrong = [
        f"{path}:{number}"
        for path in sources()
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), start=1)
        if FORBIDDEN.search(line) or HOMES.search(line)
    ]
    assert wrong == []


def test_no_signals_and_no_drawer_for_everything() -> None:
    assert [path for path in sources() if path.name in {"utils.py", "helpers.py", "signals.py"}] == []
    assert [path for path in sources() if "django.dispatch" in (ROOT / path).read_text(encoding="utf-8")] == []


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_chosen_package_has_its_reason_and_its_version() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition("Part 2: the lock")[0]
    wanted = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in wanted if not re.match(r"^[\w.\[\]-]+==[\w.]+ +# \S", line)] == []


def test_the_tool_settings_name_every_app() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(found["tool"]["importlinter"]["root_packages"]) == set(APPS)
