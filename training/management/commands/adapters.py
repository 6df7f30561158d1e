"""`manage.py adapters list|load|unload|merge|ollama`: what was trained on this machine, and ways to use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from llm import adapters
from llm.embedded import adapter_servers
from llm.errors import LanguageModelError
from training.finetune import local_ways
from training.finetune.errors import JobFailed


class Command(BaseCommand):
    help = "Tuned models of this machine: what there is, loaded or not, as a folder, in Ollama."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("list", help="all, and which are loaded").add_argument("--json", action="store_true")
        for act, words in (("load", "serve it beside the embedded model"), ("unload", "end that")):
            acts.add_parser(act, help=words).add_argument("name")
        merge = acts.add_parser("merge", help="write base and adapter as one transformers folder")
        merge.add_argument("name")
        merge.add_argument("folder", type=Path)
        ollama = acts.add_parser("ollama", help="make it a model of Ollama")
        ollama.add_argument("name")
        ollama.add_argument("--as", dest="model", help="its name there; default: the same")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act']}")(options)
        except JobFailed as error:
            raise CommandError(error.sentence) from error
        except (LanguageModelError, OSError) as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        served, wanted = adapter_servers(), adapters.wanted()
        found = [
            {
                "name": one.name,
                "model": str(adapters.model_id(one.name)),
                "base": one.base.name,
                "loaded": one.name in served,
                "wanted": one.name in wanted,
                **one.facts,
            }
            for one in adapters.installed()
        ]
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        for one in found:
            state = "loaded" if one["loaded"] else "to be loaded" if one["wanted"] else "not loaded"
            self.stdout.write(f"{one['model']}  {state}  on {one['base']}")

    def _load(self, options: dict[str, Any]) -> None:
        adapters.load(name=options["name"])
        self.stdout.write(f"{adapters.model_id(options['name'])} will be loaded by `manage.py up` in some seconds.")

    def _unload(self, options: dict[str, Any]) -> None:
        adapters.unload(name=self._there(options).name)
        self.stdout.write(f"{options['name']} ends its running answers and is unloaded.")

    def _merge(self, options: dict[str, Any]) -> None:
        folder = local_ways.merge(adapter=self._there(options), folder=options["folder"])
        self.stdout.write(f"huggingface:{folder.absolute()}")

    def _ollama(self, options: dict[str, Any]) -> None:
        adapter = self._there(options)
        self.stdout.write(local_ways.to_ollama(adapter=adapter, name=options["model"] or adapter.name))

    def _there(self, options: dict[str, Any]) -> adapters.Adapter:
        found = adapters.find(options["name"])
        if found is None:
            raise CommandError(f"There is no adapter {options['name']!r}; see `manage.py adapters list`.")
        return found
