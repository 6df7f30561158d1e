"""Models of the Hugging Face hub inside this process, through transformers.

Not through langchain-huggingface (1.2.3): it asks for huggingface_hub < 2, its stream cannot be stopped (its own
StoppingCriteria, a thread that goes on to the end) and counts no tokens, and its async stream knows no pipeline.

A prompt is read in one piece: a model that reads stops only at its first token.
"""

from __future__ import annotations

import errno
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.utils.translation import gettext as _

from llm.errors import ContextTooLong, LanguageModelError, ModelUnavailable, ServerFailed
from llm.types import ChatRequest, Finished, Health, ModelId, Token, Usage

from .faults import message_in
from .in_process import InProcessModel, Listener

if TYPE_CHECKING:
    import torch

ASSUMED_CONTEXT = 4096  # before the model is loaded and says itself
LONGEST_CONTEXT = 32_768  # its cache in memory grows with each token
LOADING_SECONDS = 120.0  # a GGUF is unpacked: 20 s for 135 million parameters on 2 cores
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def huggingface_model(model_id: ModelId) -> HuggingFaceModel:
    """Raises ModelUnavailable without the packages. Loads neither them nor the model: that takes a thread."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise ModelUnavailable(
                _("%(model)s needs a Python package; install it with `pip install %(package)s`.")
                % {"model": model_id, "package": package}
            )
    return HuggingFaceModel(model_id)


@dataclass(frozen=True, slots=True)
class Loaded:
    tokenizer: Any
    model: Any
    device: str
    context_tokens: int


class HuggingFaceModel(InProcessModel):
    """`name` is a repository of the hub, a folder, or a GGUF file. Loaded at the first call and kept."""

    loading_seconds = LOADING_SECONDS
    _loaded: Loaded | None

    @property
    def context_tokens(self) -> int:
        return self._loaded.context_tokens if self._loaded else ASSUMED_CONTEXT

    async def check(self) -> Health:
        """Whether the model is where it should be; loads nothing and asks no server."""
        if self._loaded is None:
            try:
                self._where()
            except LanguageModelError as error:
                return Health(False, str(error))
        return Health(True)

    def _where(self) -> tuple[str, dict[str, Any]]:
        """What transformers calls the place, and what it must be told beside it. Raises ModelUnavailable."""
        path = Path(self.id.name).expanduser()
        if path.suffix.lower() == ".gguf":
            if not path.is_file():
                raise ModelUnavailable(
                    _("The model file of %(model)s does not exist; fetch it or correct the path.") % {"model": self.id}
                )
            return str(path.parent), {"gguf_file": path.name, "local_files_only": True}
        if path.is_dir():
            return str(path), {"local_files_only": True}
        if path.is_absolute() or self.id.name.startswith(("~", ".")):
            raise ModelUnavailable(_("The folder of %(model)s does not exist; correct the path.") % {"model": self.id})
        if settings.OFFLINE and not _in_cache(self.id.name):
            raise self._not_here()
        return self.id.name, {"local_files_only": settings.OFFLINE}

    def _load(self) -> Loaded:
        """Runs in the computing thread only."""
        if self._loaded is None:
            where, options = self._where()
            with self._translated(loading=True):
                self._loaded = _load(where, options)
        return self._loaded

    def _answer(self, request: ChatRequest, listener: Listener) -> None:
        loaded = self._load()
        if listener.left:
            return
        with self._translated(loading=False):
            prompt = _prompt(loaded, request)
            room = loaded.context_tokens - int(prompt["input_ids"].shape[1])
            if room < 1:
                raise ContextTooLong(
                    _("The conversation is too long for %(model)s; start a new one.") % {"model": self.id}
                )
            listener.put(_generate(loaded, prompt, request, min(request.max_tokens, room), listener))

    def _not_here(self) -> ModelUnavailable:
        return ModelUnavailable(
            _("%(model)s is not on this machine, and COACH_OFFLINE forbids to fetch it.") % {"model": self.id}
        )

    def _translated(self, *, loading: bool) -> _Translated:
        return _Translated(self, loading)

    def translate(self, error: Exception, *, loading: bool) -> LanguageModelError:
        names = {"model": self.id, "detail": message_in(str(error))}
        causes = list(_causes(error))
        if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
            return ModelUnavailable(_("There is no space left on the disk for %(model)s; free some.") % names)
        if isinstance(error, MemoryError) or any(word in str(error).lower() for word in _OUT_OF_MEMORY):
            return ModelUnavailable(_("%(model)s needs more memory than is free; choose a smaller model.") % names)
        if not loading:
            return ServerFailed(_("%(model)s failed: %(detail)s") % names)
        if any("gated repo" in str(cause).lower() for cause in causes):
            return ModelUnavailable(
                _("%(model)s may only be fetched with the token of somebody who accepted its terms; set HF_TOKEN.")
                % names
            )
        if settings.OFFLINE and not Path(self.id.name).expanduser().exists():
            return self._not_here()
        if isinstance(error, OSError) and "valid model identifier" in str(error):
            return ModelUnavailable(_("The hub has no model %(model)s; correct its name.") % names)
        return ModelUnavailable(_("%(model)s cannot be loaded: %(detail)s") % names)


class _Translated:
    """A block in which every vendor's exception becomes one of llm/errors.py."""

    def __init__(self, owner: HuggingFaceModel, loading: bool) -> None:
        self._owner, self._loading = owner, loading

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, LanguageModelError):
            raise self._owner.translate(error, loading=self._loading) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _in_cache(repository: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(repository, "config.json"), str)
    except ValueError:  # no name of a repository
        return False


def _device() -> str:
    """`cpu` or `cuda`, as COACH_DEVICE says. Raises ModelUnavailable when it asks for a GPU that is not there."""
    import torch

    found = torch.cuda.is_available()
    if settings.COACH_DEVICE == "cuda" and not found:
        raise ModelUnavailable(_("COACH_DEVICE is cuda, but this process finds no GPU; set it to cpu or auto."))
    return "cuda" if found and settings.COACH_DEVICE != "cpu" else "cpu"


def _load(where: str, options: dict[str, Any]) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = _device()
    token = {"token": settings.HF_TOKEN} if settings.HF_TOKEN else {}
    tokenizer = AutoTokenizer.from_pretrained(where, **options, **token)
    if not tokenizer.chat_template:
        raise ValueError(_("it has no chat template; choose one that was made to chat (Instruct)"))
    # On 2 cores SmolLM2 writes 26 tokens/s in float32 and 15 in bfloat16, which needs half the memory.
    kind = "auto" if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(where, dtype=kind, **options, **token)
    model.to(device).eval()
    longest = int(getattr(model.config, "max_position_embeddings", 0) or ASSUMED_CONTEXT)
    return Loaded(tokenizer, model, device, min(longest, LONGEST_CONTEXT))


def _prompt(loaded: Loaded, request: ChatRequest) -> Any:
    """The tokens of the whole conversation; some models (Gemma) know no system text: it goes before the question."""
    from jinja2 import TemplateError

    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    template = partial(
        loaded.tokenizer.apply_chat_template, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    try:
        prompt = template(messages)
    except TemplateError:
        if len(messages) < 2 or messages[0]["role"] != "system":
            raise
        system, first, *rest = messages
        prompt = template([{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest])
    return prompt.to(loaded.device)


def _generate(loaded: Loaded, prompt: Any, request: ChatRequest, most: int, listener: Listener) -> Finished:
    """Put the answer's text as it comes; the end of it with what was counted."""
    import torch

    watch = _Watch(loaded.tokenizer, listener)
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if request.temperature > 0:
        sampling = {"do_sample": True, "temperature": request.temperature}
    begun = time.monotonic()
    with torch.inference_mode():
        loaded.model.generate(
            **prompt, **sampling, max_new_tokens=most, streamer=watch, stopping_criteria=[_stopping(watch)]
        )
    ended = time.monotonic()
    reason: Literal["stop", "length"] = "length" if watch.count >= most else "stop"
    tokens = int(prompt["input_ids"].shape[1])
    usage = Usage(
        prompt_tokens=tokens,
        cached_prompt_tokens=0,
        completion_tokens=watch.count,
        prompt_tokens_per_second=_speed(tokens, (watch.first or ended) - begun),
        completion_tokens_per_second=_speed(watch.count - 1, ended - (watch.first or ended)),
    )
    return Finished(usage, reason)


def _speed(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def _stopping(watch: _Watch) -> Callable[..., torch.Tensor]:
    def stop(input_ids: torch.Tensor, _scores: object, **_more: object) -> torch.Tensor:
        import torch

        return torch.full((input_ids.shape[0],), watch.left, dtype=torch.bool, device=input_ids.device)

    return stop


class _Watch:
    """What `generate` calls a streamer: gets the prompt, then token after token, and makes text of them.

    A character may be spread over several tokens, and a token's text may depend on the one before it, so what is
    new is found by decoding the last few tokens with and without the newest.
    """

    def __init__(self, tokenizer: Any, listener: Listener) -> None:
        self._decode = partial(tokenizer.decode, skip_special_tokens=True)
        self._listener = listener
        self._tokens: list[int] = []
        self._from = self._shown = 0
        self._prompt_seen = False
        self.first: float | None = None

    @property
    def count(self) -> int:
        return len(self._tokens)

    @property
    def left(self) -> bool:
        return self._listener.left

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self.first = self.first or time.monotonic()
        self._tokens += value.flatten().tolist()
        self._show(whole=False)

    def end(self) -> None:
        self._show(whole=True)

    def _show(self, *, whole: bool) -> None:
        before = self._decode(self._tokens[self._from : self._shown])
        text = self._decode(self._tokens[self._from :])
        if len(text) <= len(before) or (text.endswith("\ufffd") and not whole):
            return
        self._from, self._shown = self._shown, len(self._tokens)
        if not self.left:
            self._listener.put(Token(text[len(before) :]))
