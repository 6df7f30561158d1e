"""One short real generation, to see that a model works here and how quick it is.

A GGUF that the embedded server does not run gets a server of its own for the time of the trial. All other providers
are asked through their adapters: never in the web process, which imports no vendor's package.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from .embedded import EmbeddedServer, embedded_server
from .errors import LanguageModelError
from .fetching import wanted
from .llamacpp_server import HOST
from .local_errors import TestFailed
from .local_models import file_of
from .machine import free_memory
from .providers.llamacpp import LlamaCppModel
from .registry import language_model
from .types import AdapterEvent, ChatRequest, Finished, LanguageModel, Message, ModelId, Token, Usage

QUESTION = "In one sentence: how does one build a good habit?"
MOST_TOKENS = 48
SECONDS = 120.0
START_SECONDS = 90.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.2
CONTEXT = 2048
MEMORY_SHARE = 1.15  # the file, a small cache and buffers


@dataclass(frozen=True, slots=True)
class Trial:
    """`first_token_seconds` and `tokens_per_second` (of the answer, without the first word's wait)."""

    model: str
    answer: str
    seconds: float
    first_token_seconds: float
    tokens: int
    tokens_per_second: float


async def try_out(model: str) -> Trial:
    """Ask an installed model one question. Raises UnknownModel, NotInstalled, TestFailed."""
    path = file_of(model)
    if path is None:
        name = wanted(model)
        return await _ask(language_model(ModelId(name.provider, name.name)), str(name))
    shown = model if model.startswith("llamacpp:") else f"llamacpp:{model}"
    running = embedded_server()
    if running is not None and Path(running.model) == path:
        return await _ask(_At(running), shown)
    async with _own_server(path) as server:
        return await _ask(_At(server), shown)


async def _ask(model: LanguageModel | LlamaCppModel, shown: str) -> Trial:
    request = ChatRequest([Message("user", QUESTION)], max_tokens=MOST_TOKENS, temperature=0.0)
    began, first, words, usage = time.monotonic(), 0.0, [], Usage()
    try:
        async with asyncio.timeout(SECONDS), aclosing(_events(model, request)) as events:
            async for event in events:
                if isinstance(event, Token):
                    first = first or time.monotonic() - began
                    words.append(event.text)
                elif isinstance(event, Finished):
                    usage = event.usage
    except TimeoutError as error:
        raise TestFailed(_("%(model)s did not finish within two minutes.") % {"model": shown}) from error
    except LanguageModelError as error:
        raise TestFailed(str(error)) from error
    seconds = time.monotonic() - began
    if not words:
        raise TestFailed(_("%(model)s answered without a word.") % {"model": shown})
    tokens = usage.completion_tokens or len(words)
    speed = usage.completion_tokens_per_second or (tokens - 1) / max(seconds - first, 0.001)
    return Trial(shown, "".join(words).strip(), round(seconds, 2), round(first, 2), tokens, round(speed, 1))


async def _events(model: LanguageModel | LlamaCppModel, request: ChatRequest) -> AsyncGenerator[AdapterEvent]:
    async for event in model.stream(request):
        yield event


class _At(LlamaCppModel):
    """The adapter of conversations, with a server of the trial's own choice."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__(ModelId("llamacpp"))
        self._chosen = server

    def _server(self) -> EmbeddedServer:
        return self._chosen


@asynccontextmanager
async def _own_server(path: Path) -> AsyncIterator[EmbeddedServer]:
    """A llama.cpp server for this file alone, on loopback with a key, until the end of the block."""
    _refuse_without_memory(path)
    key, port = secrets.token_urlsafe(16), _free_port()
    with tempfile.TemporaryDirectory(prefix="coach-trial-") as folder:
        key_file, log = Path(folder) / "key", Path(folder) / "log"
        await asyncio.to_thread(key_file.write_text, key, encoding="ascii")
        command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(path), "--port", str(port)]
        command += ["--api-key-file", str(key_file), "--parallel", "1", "--ctx", str(CONTEXT), "--cache-ram", "0"]
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=settings.BASE_DIR
            )
        try:
            await _until_ready(child, f"http://{HOST}:{port}", log, path)
            yield EmbeddedServer(f"http://{HOST}:{port}", key, str(path), CONTEXT)
        finally:
            if child.returncode is None:
                child.terminate()
                try:
                    await asyncio.wait_for(child.wait(), STOP_SECONDS)
                except TimeoutError:
                    child.kill()
                    await child.wait()


def _refuse_without_memory(path: Path) -> None:
    needed, free = int(path.stat().st_size * MEMORY_SHARE), free_memory()
    if free and free < needed:
        raise TestFailed(
            _("%(model)s needs %(needed).1f GB of memory to be tried out, but only %(free).1f GB are free.")
            % {"model": path.name, "needed": needed / 1e9, "free": free / 1e9}
        )


async def _until_ready(child: asyncio.subprocess.Process, url: str, log: Path, path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline and child.returncode is None:
            try:
                if (await client.get(f"{url}/health")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # it is still loading
            await asyncio.sleep(POLL_SECONDS)
    lines = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
    said = [line for line in lines.splitlines() if line.startswith("The model server")] or lines.splitlines()
    reason = next((line for line in reversed(said) if line.strip()), "")
    raise TestFailed(
        _("%(model)s could not be loaded: %(reason)s")
        % {"model": path.name, "reason": reason or f"> {START_SECONDS} s"}
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
