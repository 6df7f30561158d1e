"""`python -m bench [ttft|page|load|steady|memory|index|drop|pdf|model …]`: starts the application and measures.

Prints a table. Everything but `model` (the real embedded model, minutes) runs when nothing is named, with a
fake model server, the real embedder, the starter knowledge, its own data folder and its own port.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from . import chat, knowledge, processes, real_model
from .application import Application, ApplicationFailed, FakeModel
from .report import Row, print_table, write_json

MEASURES: dict[str, Callable[[Application], list[Row]]] = {
    "ttft": chat.measure_ttft,
    "page": chat.measure_page,
    "load": chat.measure_load,
    "steady": chat.measure_steady,
    "memory": chat.measure_memory,
    "index": knowledge.measure_index,
    "drop": knowledge.measure_drop,
    "pdf": lambda application: knowledge.measure_pdf(application, application.data_dir),
    "model": real_model.measure_model,
}
DEFAULT = tuple(name for name in MEASURES if name != "model")


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the whole application.")
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], metavar="measure", help=", ".join(MEASURES))
    parser.add_argument("--real-model", action="store_true", help="the same as the measure `model`")
    parser.add_argument(
        "--models", default="", help="COACH_MODELS for the measure `model`; default: the embedded model"
    )
    parser.add_argument(
        "--data-dir", type=Path, help="keep the data here and use it again (default: a temporary folder)"
    )
    found = parser.parse_args(given)
    found.measures = list(found.measures) or list(DEFAULT)
    if found.real_model and "model" not in found.measures:
        found.measures.append("model")
    return found


def environment(models: str, url: str) -> dict[str, str]:
    """Settings of the application under measurement; the caches of this machine are shared, so nothing loads twice."""
    found = {"COACH_MODELS": models, "COACH_TURNS_PER_MINUTE": "100000", "COACH_OFFLINE": "1"}
    if url:
        found |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "bench"}
    if "COACH_CACHE_DIR" in os.environ:
        found["COACH_CACHE_DIR"] = os.environ["COACH_CACHE_DIR"]
    return found


def measure(names: Sequence[str], data_dir: Path, settings: dict[str, str]) -> list[Row]:
    rows: list[Row] = []
    with Application(data_dir, settings) as application:
        for base in ("personal", "university"):
            application.wait_for_documents(base)
        application.wait_until_settled()
        for name in names:
            print(f"measuring {name} (load average {processes.load_average():.1f}) …", file=sys.stderr, flush=True)
            try:
                rows += MEASURES[name](application)
            except ApplicationFailed as error:
                rows.append(Row(f"{name}: not measured", 1, "failure", 0, note=str(error).splitlines()[0]))
                print(f"{error}\n{application.logs()}", file=sys.stderr)
    return rows


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the application it started ends with it
    folder = options.data_dir or Path(tempfile.mkdtemp(prefix="coach-bench-"))
    plain = [name for name in options.measures if name != "model"]
    rows: list[Row] = []
    try:
        if plain:
            fake = FakeModel()
            try:
                rows += measure(plain, folder / "fake", environment("openai:bench", fake.url))
            finally:
                fake.close()
        if "model" in options.measures:
            rows += measure(["model"], folder / "real", {**environment(options.models, ""), "COACH_OFFLINE": "0"})
    finally:
        if options.data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    print_table(rows)
    print(f"\nwritten to {write_json(rows, '-'.join(options.measures))}")
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
