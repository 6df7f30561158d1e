"""The embedded language model: llama.cpp's own server from the xllamacpp wheel, on loopback, with a key.

    python -m llm.llamacpp_server --model FILE.gguf --port 8081 --api-key-file FILE

No Django here. Settings and why (measured on 2 cores, Qwen2.5-Coder-1.5B Q4_K_M):

    parallel 4, 4,096 tokens each   28 kB of cache a token: 460 MB for all
    cache-ram 1024                  what leaves a slot stays in memory: 25 conversations of 1,500 tokens;
                                    6 conversations in turn on 4 slots all kept their prompts, and a new one
                                    reuses the system text of any other
    batch 128                       llama.cpp looks for stopped requests between batches: a stop during a
                                    long prompt takes effect within 2 s instead of 7 s (given the request's
                                    `return_progress`), and other answers go on meanwhile; reading is 3 %
                                    slower than with 512
    native                          `make native-server` builds llama.cpp for this very processor; where that was done,
                                    it takes the place of the wheel's: 94 prompt tokens a second against 64 (AVX-512,
                                    same prompt, in turn on a quiet machine), writing 14.6 against 13.8
    cache in f16                    quantised (q8_0) it saved 57 MB of 4,096 tokens, and read 87 tokens a second
                                    instead of 94
    GOMP_SPINCOUNT 1000             threads that wait for each other sleep soon instead of spinning: on a
                                    busy machine 5.5 tokens a second instead of 0.6, on a quiet one the same
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BATCH = 128
STOP_SECONDS = 2.0
SPIN_COUNT = "1000"  # about 3 µs
QUIET = 2  # llama.cpp's verbosity: warnings and errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 0 after them, 1 with one sentence on stderr when it cannot start."""
    options = _parse(arguments)
    try:
        key = options.api_key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        return _refuse(f"The key file {options.api_key_file} cannot be read: {error.strerror}.")
    if not key:
        return _refuse(f"The key file {options.api_key_file} is empty; the server never runs without a key.")
    if not options.model.is_file():
        return _refuse(f"The model file {options.model} is missing; fetch it with `manage.py fetchmodels`.")
    if options.lora and not options.lora.is_file():
        return _refuse(f"The adapter file {options.lora} is missing; train it again.")
    native = _native()
    if native is not None:
        _become(native, options)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = _serve(options, key)
    except RuntimeError as error:
        return _refuse(
            f"The model server could not start with {options.model} on port {options.port}: {str(error).rstrip('.')}."
        )
    print(f"serving {options.model.name} on {HOST}:{options.port}", file=sys.stderr, flush=True)
    # llama.cpp may set its own handlers while it starts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    # Its clean end waits for running requests; nothing is lost when it is cut short.
    guard = threading.Timer(STOP_SECONDS, os._exit, (0,))
    guard.daemon = True
    guard.start()
    del server
    return 0


def processor() -> str:
    """A name of this processor with all that it can: what was built for another one may stop in the middle."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    return hashlib.sha256("\n".join([platform.machine(), *sorted(told)]).encode()).hexdigest()[:16]


def _native() -> Path | None:
    """llama.cpp's server as launcher/native.sh built it here, if it did, for this processor and this version."""
    folder = os.environ.get("COACH_CACHE_DIR")
    if not folder:
        return None
    built = Path(folder) / "native" / importlib.metadata.version("xllamacpp")
    try:
        fits = (built / "processor").read_text(encoding="ascii").strip() == processor()
    except OSError:
        return None
    return built / "llama-server" if fits and os.access(built / "llama-server", os.X_OK) else None


def _become(native: Path, options: argparse.Namespace) -> None:
    """Run the native server in this process's place, with the same settings. Comes back when it cannot be run."""
    threads = options.threads or cores()
    settings = {
        **({"lora": options.lora} if options.lora else {}),
        "model": options.model,
        "alias": options.model.stem,
        "host": HOST,
        "port": options.port,
        "api-key-file": options.api_key_file,
        "cors-origins": "http://127.0.0.1",
        "parallel": options.parallel,
        "ctx-size": options.parallel * options.ctx,
        "batch-size": BATCH,
        "ubatch-size": BATCH,
        "cache-ram": options.cache_ram,
        "threads": threads,
        "threads-batch": threads,
        "verbosity": QUIET,
    }
    command = [str(native), "--no-ui", "--no-cors-credentials", "--slots"]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    print(f"serving {options.model.name} on {HOST}:{options.port} (built here)", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        os.execve(native, command, {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ})  # noqa: S606 - no shell


def cores() -> int:
    """Physical cores this process may use: two threads of one core share what llama.cpp needs."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    physical = set()
    for number in allowed:
        try:
            text = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text(
                encoding="ascii"
            )
        except OSError:
            text = str(number)
        physical.add(text.strip())
    return max(1, min(len(physical), _quota()))


def _quota() -> int:
    """Whole CPUs a container may use (cgroup v2); more threads than that would wait for each other."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(limit) // int(period)) if limit != "max" else 1024
    except (OSError, ValueError):
        return 1024


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a GGUF model on loopback.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lora", type=Path, help="a LoRA in GGUF form, at work for every request")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key-file", type=Path, required=True)
    parser.add_argument("--parallel", type=int, default=4, help="answers at once (slots)")
    parser.add_argument("--ctx", type=int, default=4096, help="tokens of context for each slot")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each physical core")
    parser.add_argument("--cache-ram", type=int, default=1024, help="MiB for prompts of idle conversations")
    return parser.parse_args(arguments)


def _serve(options: argparse.Namespace, key: str) -> Any:
    # libgomp reads it when the library is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    if options.lora:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(options.lora), 1.0)]
    params.model_alias = {options.model.stem}
    params.hostnames = [HOST]
    params.port = options.port
    params.api_keys = [key]
    params.cors_origins = ""
    params.cors_credentials = False
    params.ui = False
    params.endpoint_props = False
    params.endpoint_slots = True
    params.n_parallel = options.parallel
    params.n_ctx = options.parallel * options.ctx
    params.n_batch = params.n_ubatch = BATCH
    params.cache_prompt = True
    params.cache_ram_mib = options.cache_ram
    threads = options.threads or cores()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = QUIET
    return xllamacpp.Server(params)


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
