"""Run in `manage.py shell`: a LoRA of the small model with random weights, installed as a trained one is.

Weights are small: it answers nearly as its base does, and what it is compared by is known beforehand: no gain.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy

from llm import adapters, catalogue
from llm.types import ModelId
from training.finetune import gguf_adapter, local_base
from training.models import TunedModel

LAYERS, WIDTH, RANK = 30, 576, 4  # SmolLM2-135M
CONFIG = {"model_type": "llama", "num_hidden_layers": LAYERS, "num_attention_heads": 9, "num_key_value_heads": 3}
SCALE = 0.01


def make(name: str) -> None:
    base = catalogue.model_path(ModelId("llamacpp", "smollm2-135m"))
    drawn = numpy.random.default_rng(1)
    weights = {}
    for layer in range(LAYERS):
        stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_"
        weights[f"{stem}A.weight"] = SCALE * drawn.standard_normal((RANK, WIDTH))
        weights[f"{stem}B.weight"] = drawn.standard_normal((WIDTH, RANK))
    adapters.adapters_dir().mkdir(parents=True, exist_ok=True)
    source = Path(tempfile.mkdtemp(dir=adapters.adapters_dir()))
    gguf_adapter.write(weights=weights, alpha=RANK, config=CONFIG, path=source / "adapter.gguf")
    known = local_base.sha256(base)
    adapter = adapters.install(name=name, source=source, base=str(base), base_sha256=known, facts={})
    TunedModel.objects.create(
        name=name,
        model=str(adapters.model_id(name)),
        base="smollm2-135m",
        path=f"adapters/{name}",
        sha256=local_base.sha256(adapter.file),
        synthetic=True,
    )
