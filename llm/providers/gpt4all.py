"""Models that GPT4All's engine computes inside this process; an optional package.

Through the gpt4all package itself: langchain-community, which has the wrapper, is being given up by its makers, and
the wrapper gives no way to stop. The conversation is put into words by the chat template in the model's own file,
which GPT4All leaves aside.

The newest release (2.8.2) has an engine of August 2024. Measured here with it: Qwen2.5-Coder-1.5B Q4_K_M loads in
1 s, reads 31 prompt tokens a second and writes 11 (llamacpp: 75 and 28); SmolLM2-135M does not load ("unknown
pre-tokenizer type: 'smollm'").
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.utils.translation import gettext as _

from llm.catalogue import models_dir
from llm.errors import ContextTooLong, LanguageModelError, ModelUnavailable, ServerFailed
from llm.types import ChatRequest, Finished, Health, ModelId, Token, Usage

from .faults import message_in
from .gguf_header import text_of
from .in_process import InProcessModel, Listener

CONTEXT_TOKENS = 4096
LOADING_SECONDS = 60.0
REPEAT_PENALTY, REPEAT_LAST = 1.1, 64
PROMPT_BATCH = 128  # tokens read between two looks at whether anybody still listens


def gpt4all_model(model_id: ModelId) -> GPT4AllModel:
    """Raises ModelUnavailable without the package. The model is loaded at the first call."""
    if importlib.util.find_spec("gpt4all") is None:
        raise ModelUnavailable(
            _("%(model)s needs a Python package; install it with `pip install %(package)s`.")
            % {"model": model_id, "package": "gpt4all"}
        )
    return GPT4AllModel(model_id)


@dataclass(frozen=True, slots=True)
class Loaded:
    """`engine` is GPT4All's; `template` the model's chat template (Jinja)."""

    engine: Any
    template: Any


class GPT4AllModel(InProcessModel):
    """`name` is a GGUF file: a path, or a name in our folder of models or in GPT4All's own."""

    loading_seconds = LOADING_SECONDS
    _loaded: Loaded | None
    context_tokens = CONTEXT_TOKENS
    repeat_penalty = REPEAT_PENALTY

    async def check(self) -> Health:
        """Whether the model's file is there; loads nothing."""
        try:
            self._path()
        except LanguageModelError as error:
            return Health(False, str(error))
        return Health(True)

    def _path(self) -> Path:
        name = self.id.name if self.id.name.lower().endswith(".gguf") else f"{self.id.name}.gguf"
        path = Path(name).expanduser()
        places = [path] if path.is_absolute() else [models_dir() / path, Path.home() / ".cache" / "gpt4all" / path]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise ModelUnavailable(
                _("The model file of %(model)s does not exist; fetch it or correct the path.") % {"model": self.id}
            )
        return found

    def _load(self) -> Loaded:
        """Runs in the computing thread only."""
        if self._loaded is None:
            path = self._path()
            try:
                template = _template(path)  # first: it refuses what is no model before the engine sees it
                self._loaded = Loaded(_engine(path), template)
            except Exception as error:
                raise ModelUnavailable(
                    _("%(model)s cannot be loaded by GPT4All, which knows no newer models; try llamacpp: %(detail)s")
                    % {"model": self.id, "detail": message_in(str(error))}
                ) from error
        return self._loaded

    def _answer(self, request: ChatRequest, listener: Listener) -> None:
        loaded = self._load()
        if listener.left:
            return
        try:
            finished = _generate(loaded, request, listener)
        except Exception as error:
            raise ServerFailed(
                _("%(model)s failed: %(detail)s") % {"model": self.id, "detail": message_in(str(error))}
            ) from error
        if isinstance(finished, str):
            if "context window" in finished:
                raise ContextTooLong(
                    _("The conversation is too long for %(model)s; start a new one.") % {"model": self.id}
                )
            raise ServerFailed(_("%(model)s failed: %(detail)s") % {"model": self.id, "detail": message_in(finished)})
        listener.put(finished)


def _engine(path: Path) -> Any:
    from gpt4all import GPT4All

    engine = GPT4All(
        path.name,
        model_path=path.parent,
        allow_download=False,
        device="cuda" if settings.COACH_DEVICE == "cuda" else "cpu",
        n_ctx=CONTEXT_TOKENS,
    ).model
    engine.thread_count()  # GPT4All does not look whether it could load the model; this raises when it could not
    return engine


def _template(path: Path) -> Any:
    """The chat template in the file, in a sandbox: it comes from whoever made the model."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    text = text_of(path, "tokenizer.chat_template")
    if text is None:
        raise ValueError(_("it has no chat template; choose one that was made to chat (Instruct)"))
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(text)


def _refuse(message: str) -> None:
    """What templates call when they do not like the messages."""
    raise ValueError(message)


def _generate(loaded: Loaded, request: ChatRequest, listener: Listener) -> Finished | str:
    """Put the answer's text as it comes; gives its end, or what the engine complains of."""
    engine = loaded.engine
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    # The engine puts the mark of the beginning itself.
    prompt = loaded.template.render(messages=messages, add_generation_prompt=True, bos_token="", eos_token="")
    count, first, complaint = 0, 0.0, ""

    def heard(token: int, text: str) -> bool:
        nonlocal count, first, complaint
        if token < 0:
            complaint = text
            return False
        first = first or time.monotonic()
        count += 1
        if text and not listener.left:
            listener.put(Token(text))
        return not listener.left

    engine._prompt_callback = lambda _token: not listener.left  # the package itself has nothing to stop the reading
    begun = time.monotonic()
    engine.prompt_model(
        prompt,
        "%1%2",  # "%1" alone would put blanks around it
        heard,
        n_predict=request.max_tokens,
        temp=request.temperature,
        top_k=40 if request.temperature > 0 else 1,
        n_batch=PROMPT_BATCH,
        repeat_penalty=REPEAT_PENALTY,
        repeat_last_n=REPEAT_LAST,
        reset_context=True,
        special=True,
    )
    if complaint:
        return complaint
    ended = time.monotonic()
    tokens = max(0, int(engine.context.n_past) - count)
    reason: Literal["stop", "length"] = "length" if count >= request.max_tokens else "stop"
    usage = Usage(
        prompt_tokens=tokens,
        cached_prompt_tokens=0,
        completion_tokens=count,
        prompt_tokens_per_second=tokens / (first - begun) if first > begun else None,
        completion_tokens_per_second=(count - 1) / (ended - first) if count > 1 and ended > first else None,
    )
    return Finished(usage, reason)
