"""Language models of a few thousand random numbers: they talk nonsense through the real libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<unk>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")


def transformers_folder(folder: Path, template: str | None = TEMPLATE, **config: Any) -> Path:
    """A Llama with one layer and a tokenizer of bytes, saved as the hub has them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({text: n for n, text in enumerate([*SPECIAL, *letters])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|end|>")
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL[2:])})
    fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    values = {"max_position_embeddings": 256, "eos_token_id": 1, "pad_token_id": 1, "bos_token_id": None}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(fast), **{**sizes, **values, **config})).save_pretrained(folder)
    return folder


def gguf_file(path: Path, template: str | None = TEMPLATE) -> Path:
    """The same size of model as a GGUF, with a tokenizer of bytes."""
    import gguf
    import numpy as np

    width, hidden, heads, context = 32, 64, 2, 256
    tokens = [*SPECIAL, *(f"<0x{n:02X}>" for n in range(256)), "▁", "a", "e"]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 4 + [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * 3
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)  # without it transformers leaves the rows of queries and keys in llama.cpp's order
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(1)
    if template is not None:
        writer.add_chat_template(template)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        numbers = random.normal(0, 0.3, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, numbers.astype(np.float32))

    add("token_embd.weight", len(tokens), width)
    add("output_norm.weight", width)
    add("output.weight", len(tokens), width)
    add("blk.0.attn_norm.weight", width)
    for part in ("q", "k", "v"):
        add(f"blk.0.attn_{part}.weight", width, width)
    add("blk.0.attn_output.weight", width, width)
    add("blk.0.ffn_norm.weight", width)
    add("blk.0.ffn_gate.weight", hidden, width)
    add("blk.0.ffn_up.weight", hidden, width)
    add("blk.0.ffn_down.weight", width, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
