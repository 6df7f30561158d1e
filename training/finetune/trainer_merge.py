"""`python -m training.finetune.trainer_merge ADAPTER_FOLDER BASE OUT`: base and adapter as one transformers folder.

A process of its own, as the trainer is. The last line it prints is {"code": …, "values": …}, the code '' when done.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from .trainer_job import Spec, TrainerError


def main(arguments: list[str]) -> int:
    adapter, base, out = Path(arguments[0]), arguments[1], Path(arguments[2])
    code, values = "", dict[str, Any]()
    try:
        _merge(adapter, base, out)
    except TrainerError as error:
        code, values = error.code, error.values
    except OSError as error:
        code, values = "other", {"detail": error.strerror or str(error)}
    print(json.dumps({"code": code, "values": values}))
    return 1 if code else 0


def _merge(adapter: Path, base: str, out: Path) -> None:
    """`out` appears when all of it is written."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from . import trainer_model

    trainer_model.check_base(Spec(method="sft", base=base))
    trainer_model.check_memory(base, 1)
    fresh = out.with_name(f"{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    with trainer_model.plain_errors(base):
        model: Any = AutoModelForCausalLM.from_pretrained(*trainer_model.where(base), **trainer_model.which(base))
    if hasattr(model.config, "quantization_config"):  # the weights are spelled out now
        del model.config.quantization_config
        model.hf_quantizer = None
    merged: Any = PeftModel.from_pretrained(model, adapter)
    merged.merge_and_unload().save_pretrained(fresh)
    trainer_model.load_tokenizer(base).save_pretrained(fresh)
    fresh.rename(out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
