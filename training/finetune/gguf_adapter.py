"""A LoRA as peft trains it, written as llama.cpp reads it.

Names come from the `gguf` package's own maps. llama.cpp keeps the rows of the query and key matrices of Llama models
in another order (both halves of a head's rotation side by side), so the second matrices of these are reordered too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# transformers' model types, and what llama.cpp calls them; in these a LoRA's matrices need no other change
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_PREFIX = "base_model.model."


class NotConvertible(Exception):
    """The embedded server cannot load a LoRA of this kind of model."""


def write(*, weights: Mapping[str, Any], alpha: float, config: Mapping[str, Any], path: Path) -> None:
    """`weights` are arrays by peft's names; `config` is that of the base model (transformers' config.json).

    `path` appears when all of it is written. Raises NotConvertible, OSError.
    """
    import gguf

    name = ARCHITECTURES.get(str(config.get("model_type")))
    if name is None:
        raise NotConvertible(str(config.get("model_type")))
    architecture = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == name)
    names = gguf.get_tensor_name_map(architecture, int(config["num_hidden_layers"]))
    fresh = path.with_name(f"{path.name}.new")
    writer = gguf.GGUFWriter(fresh, name)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(alpha))
        for key, value in sorted(weights.items()):
            writer.add_tensor(*_tensor(names, name, config, key, value))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _tensor(names: Any, architecture: str, config: Mapping[str, Any], key: str, value: Any) -> tuple[str, Any]:
    import numpy

    module, matrix = key.removeprefix(_PREFIX).removesuffix(".weight").rsplit(".lora_", 1)
    module, matrix = module.removesuffix(".default"), matrix.removesuffix(".default")
    found = names.get_name(module)
    if found is None or matrix not in ("A", "B"):
        raise NotConvertible(key)
    array = numpy.ascontiguousarray(value, dtype=numpy.float32)
    if architecture == "llama" and matrix == "B" and module.endswith((".q_proj", ".k_proj")):
        heads = int(config["num_attention_heads"])
        if module.endswith(".k_proj"):
            heads = int(config.get("num_key_value_heads") or heads)
        array = _halves_together(array, heads)
    return f"{found}.weight.lora_{matrix.lower()}", array


def _halves_together(rows: Any, heads: int) -> Any:
    """As `permute` of llama.cpp's converter: (heads, 2, half, …) becomes (heads, half, 2, …)."""
    import numpy

    width = rows.shape[0] // heads // 2
    swapped = rows.reshape(heads, 2, width, *rows.shape[1:]).swapaxes(1, 2)
    return numpy.ascontiguousarray(swapped.reshape(rows.shape))
