"""The base model with a fresh LoRA on it: a GGUF file, a transformers folder or a name of the hub.

transformers, torch and peft are imported here and in the other trainer files only, and never by the web process.
"""

from __future__ import annotations

import copy
import hashlib
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from .trainer_job import Spec, TrainerError

# What llama.cpp, peft and the project agree to call linear layers; a model has those it has.
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FULL_PRECISION_PARAMETERS = 700_000_000  # up to this many a CPU computes in 32 bits; beyond that memory counts more
LOADING_SHARE = 1.1
PROGRAM_BYTES = 700_000_000  # torch, transformers, the tokenizer


def prepare(spec: Spec) -> None:
    """Threads, seeds and exact arithmetic, before the first tensor is made."""
    import torch

    torch.set_num_threads(max(1, spec.threads))
    # Some steps on a GPU have no exact form; there the same job gives nearly the same adapter.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    seed(int(spec.options["seed"]))


def seed(number: int) -> None:
    import torch

    random.seed(number)
    torch.manual_seed(number)


def check_base(spec: Spec) -> None:
    """Raises TrainerError when the file is gone or another one."""
    path = Path(spec.base)
    if is_gguf(spec.base):
        if not path.is_file():
            raise TrainerError("model_gone", model=path.name)
        if spec.base_sha256 and sha256(path) != spec.base_sha256:
            raise TrainerError("model_changed", model=path.name)
    elif path.is_absolute() and not (path / "config.json").is_file():
        raise TrainerError("model_gone", model=path.name)


def is_gguf(base: str) -> bool:
    return base.lower().endswith(".gguf")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_tokenizer(base: str) -> Any:
    from transformers import AutoTokenizer

    with plain_errors(base):
        return AutoTokenizer.from_pretrained(*where(base), **which(base))


def check_memory(base: str, longest: int) -> None:
    """Raises TrainerError when the model and its longest example would not fit into what is free now."""
    config = _config(base)
    if _device() == "cuda":
        return
    needed, free = _needed(_parameters(config), config, longest, is_gguf(base)), _free()
    if free and needed > free:
        raise TrainerError("no_memory", needed=round(needed / 1e9, 1), free=round(free / 1e9, 1))


def load(spec: Spec) -> Any:
    """The model with a fresh LoRA (its second matrices are zero: it writes as the base does)."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    device, config = _device(), copy.deepcopy(_config(spec.base))
    with plain_errors(spec.base):
        full = device == "cpu" and _parameters(config) <= FULL_PRECISION_PARAMETERS
        model: Any = AutoModelForCausalLM.from_pretrained(
            *where(spec.base), config=config, dtype=torch.float32 if full else torch.bfloat16, **which(spec.base)
        )
    model.config.use_cache = False
    there = {name.rpartition(".")[2] for name, _module in model.named_modules()}
    targets = [name for name in TARGETS if name in there]
    if not targets:
        raise TrainerError("architecture", architecture=str(config.model_type))
    options = spec.options
    seed(int(options["seed"]))  # whatever loading drew, the LoRA begins the same
    lora = LoraConfig(
        r=int(options["rank"]),
        lora_alpha=int(options["alpha"]),
        lora_dropout=float(options["dropout"]),
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model.to(device), lora)


def trained(model: Any) -> dict[str, Any]:
    """The LoRA's own parameters by name, in a fixed order."""
    return {name: value for name, value in sorted(model.named_parameters()) if value.requires_grad}


def versions() -> dict[str, str]:
    import peft
    import torch
    import transformers

    return {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def where(base: str) -> tuple[str]:
    return (str(Path(base).parent) if is_gguf(base) else base,)


def which(base: str) -> Mapping[str, Any]:
    return {"gguf_file": Path(base).name} if is_gguf(base) else {"local_files_only": True}


@cache
def _config(base: str) -> Any:
    """Read once: of a GGUF that takes seconds, because its whole vocabulary is read with it."""
    from transformers import AutoConfig

    with plain_errors(base):
        return AutoConfig.from_pretrained(*where(base), **which(base))


def _parameters(config: Any) -> int:
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    with init_empty_weights():
        return sum(value.numel() for value in AutoModelForCausalLM.from_config(config).parameters())


def _needed(parameters: int, config: Any, longest: int, gguf: bool) -> int:
    """Bytes at the worst moment: a GGUF's weights are first spelled out in 32 bits.

    Measured: 6.6 GB for Qwen2.5-Coder-1.5B in Q4_K_M (said: 7.5), 1.6 GB for SmolLM2-135M (1.8).
    """
    width = 4 if parameters <= FULL_PRECISION_PARAMETERS else 2
    loading = int(parameters * (4 if gguf else width) * LOADING_SHARE)
    layer = 16 * config.hidden_size + 4 * getattr(config, "intermediate_size", 4 * config.hidden_size)
    step = 4 * longest * (config.num_hidden_layers * layer + 3 * config.vocab_size)
    return PROGRAM_BYTES + max(loading, parameters * width + step)


def _free() -> int:
    """Bytes that can be had without swapping, also within a container's limit; 0 when the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, max(0, limit - used))


@contextmanager
def plain_errors(base: str) -> Iterator[None]:
    """Whatever transformers says of a file it cannot use, in our words."""
    try:
        yield
    except MemoryError as error:
        raise TrainerError("no_memory_left") from error
    except Exception as error:  # a damaged file makes it fail in many ways
        if isinstance(error, ModuleNotFoundError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        code = "model_broken" if os.path.exists(base) else "model_gone"
        raise TrainerError(code, model=Path(base).name, detail=str(error).split("\n")[0][:200]) from error
