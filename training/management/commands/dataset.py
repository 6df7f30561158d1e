"""`manage.py dataset build|show|approve|reject|freeze|files …`: from turns to a frozen data set."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from coach.errors import NotFound, Refusal
from training.datasets import build, files, services
from training.exports.errors import reason_words
from training.models import DataSet, Example

MOST_SHOWN = 20


class Command(BaseCommand):
    help = "Builds, shows, approves and freezes data sets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        making = actions.add_parser("build", help="choose turns, replace personal data, split into two parts")
        making.add_argument("name")
        making.add_argument("--kind", choices=DataSet.Kind.values, default=DataSet.Kind.ANSWERS)
        making.add_argument("--held-out", type=float, default=0.2, metavar="SHARE")
        making.add_argument("--seed", type=int, default=0)
        making.add_argument("--min-rating", type=int, metavar="N")
        making.add_argument("--cloud", action="store_true", default=None, help="only of people who agreed to OpenAI")
        making.add_argument("--helpful", action="store_true", default=None)
        making.add_argument("--since", metavar="DATE")
        making.add_argument("--until", metavar="DATE")
        making.add_argument("--language", action="append", dest="languages", metavar="CODE")
        making.add_argument("--coach", action="append", dest="coaches", metavar="NAME")
        making.add_argument("--min-question", type=int, metavar="N")
        making.add_argument("--min-answer", type=int, metavar="N")
        making.add_argument("--history", type=int, metavar="TOKENS", help="of the conversation before a turn")
        show = actions.add_parser("show", help="counts and the first examples")
        approve = actions.add_parser("approve", help="examples by their numbers, or --all that are proposed")
        reject = actions.add_parser("reject", help="examples by their numbers")
        freeze = actions.add_parser("freeze", help="what is approved, for good")
        writing = actions.add_parser("files", help="train.jsonl, held_out.jsonl and manifest.json of a frozen set")
        for action in (show, approve, reject, freeze, writing):
            action.add_argument("dataset", help="number or name")
        for action in (approve, reject):
            action.add_argument("examples", nargs="*", type=int, metavar="NUMBER")
            action.add_argument("--all", action="store_true")
        writing.add_argument("--out", required=True, type=Path, metavar="FOLDER")
        for action in (making, show, approve, reject, freeze, writing):
            action.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {
            "build": self._build,
            "show": self._show,
            "approve": self._decide,
            "reject": self._decide,
            "freeze": self._freeze,
            "files": self._files,
        }
        try:
            found = actions[options["action"]](options)
        except NotFound as error:
            raise CommandError(f"There is no data set called {options.get('dataset')}.") from error
        except Refusal as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be read ({error}); run `manage.py migrate`.") from error
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, default=str))

    def _build(self, options: dict[str, Any]) -> dict[str, Any]:
        names = (
            "min_rating",
            "helpful",
            "since",
            "until",
            "languages",
            "coaches",
            "min_question",
            "min_answer",
            "history",
            "cloud",
        )
        dataset = services.create(
            name=options["name"],
            kind=options["kind"],
            given={name: options[name] for name in names if options[name] is not None},
            held_out=options["held_out"],
            seed=options["seed"],
        )
        try:
            dataset = build.run(dataset_id=dataset.pk, seen=self._progress)
        except KeyboardInterrupt:
            services.delete(dataset_id=dataset.pk)
            raise
        if dataset.state == DataSet.State.FAILED:
            services.delete(dataset_id=dataset.pk)
            raise CommandError(dataset.error)
        return self._tell(dataset, options)

    def _show(self, options: dict[str, Any]) -> dict[str, Any]:
        dataset = services.named(options["dataset"])
        if not options["json"]:
            for example in dataset.examples.all()[:MOST_SHOWN]:
                self.stdout.write(f"{example.pk} {example.split} {example.state}: {example.answer[:70]!r}")
        return self._tell(dataset, options)

    def _decide(self, options: dict[str, Any]) -> dict[str, Any]:
        dataset = services.named(options["dataset"])
        if not options["all"] and not options["examples"]:
            raise CommandError("Name examples by their numbers, or say --all.")
        state = Example.State.APPROVED if options["action"] == "approve" else Example.State.REJECTED
        examples = None if options["all"] else options["examples"]
        changed = services.decide(dataset=dataset, state=state, by=None, examples=examples)
        self.stderr.write(f"{changed} examples {state}")
        return self._tell(dataset, options)

    def _freeze(self, options: dict[str, Any]) -> dict[str, Any]:
        return self._tell(services.freeze(dataset=services.named(options["dataset"])), options)

    def _files(self, options: dict[str, Any]) -> dict[str, Any]:
        dataset = services.named(options["dataset"])
        paths = files.write_openai(dataset, options["out"])
        manifest = options["out"] / "manifest.json"
        manifest.write_text(json.dumps(dataset.manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        found = {**{split: str(path) for split, path in paths.items()}, "manifest": str(manifest)}
        if not options["json"]:
            self.stdout.write("\n".join(found.values()))
        return found

    def _tell(self, dataset: DataSet, options: dict[str, Any]) -> dict[str, Any]:
        found = services.data(dataset)
        if not options["json"]:
            self.stdout.write(f"{dataset.pk} {dataset.name}: {dataset.state}")
            for split, states in found["examples"].items():
                self.stdout.write(f"  {split}: " + ", ".join(f"{n} {state}" for state, n in states.items() if n))
            for code, n in dataset.counts.get("left_out", {}).items():
                self.stdout.write(f"  {n:>9} {reason_words(code)}")
        return found

    def _progress(self, done: int, total: int) -> None:
        self.stderr.write(f"{done} of {total} turns")
