"""`manage.py export KIND --out FILE`: rated turns as a file, with its manifest beside it."""

from __future__ import annotations

import json
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from coach.errors import Refusal
from training.exports import kinds, writing
from training.exports.errors import reason_words

INTERRUPTED = 130
LINE_SECONDS = 0.5


class Command(BaseCommand):
    # The checks load every page of the application: memory that an export does not need.
    requires_system_checks: list[str] = []
    help = "Writes rated turns to a file, streamed, and a manifest beside it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=list(kinds.KINDS))
        parser.add_argument("--out", required=True, type=Path, metavar="FILE")
        parser.add_argument("--min-rating", type=int, metavar="N", help="0 takes unrated turns too")
        parser.add_argument("--cloud", action="store_true", default=None, help="only of people who agreed to OpenAI")
        parser.add_argument("--helpful", action="store_true", default=None, help="only what was called helpful")
        parser.add_argument("--since", metavar="DATE", help="asked on this day or later")
        parser.add_argument("--until", metavar="DATE", help="asked on this day or before")
        parser.add_argument("--language", action="append", dest="languages", metavar="CODE", help="en, sv, nb, ko")
        parser.add_argument("--coach", action="append", dest="coaches", metavar="NAME", help="short name of a coach")
        parser.add_argument("--min-question", type=int, metavar="N", help="questions are longer than N characters")
        parser.add_argument("--min-answer", type=int, metavar="N", help="answers are longer than N characters")
        parser.add_argument("--history", type=int, metavar="TOKENS", help="of the conversation before a turn")
        parser.add_argument("--json", action="store_true", help="the manifest as one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["out"]
        _check_target(path)
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
        given = {name: options[name] for name in names if options[name] is not None}
        # Ended from outside, it tidies up as after Ctrl-C.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            wanted = kinds.wanted(options["kind"], given)
            manifest = writing.write(kind=options["kind"], wanted=wanted, path=path, seen=_Progress(self))
        except Refusal as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be read ({error}); run `manage.py migrate`.") from error
        except KeyboardInterrupt:
            self.stderr.write("Interrupted; nothing was written.")
            sys.exit(INTERRUPTED)
        finally:
            signal.signal(signal.SIGTERM, before)
        self._tell(path, manifest, options["json"])

    def _tell(self, path: Path, manifest: dict[str, Any], as_json: bool) -> None:
        for problem in manifest.get("openai", {}).get("problems", ()):
            self.stderr.write(problem)
        if as_json:
            found = {**manifest, "path": str(path), "manifest": str(writing.manifest_path(path))}
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        counts = manifest["counts"]
        self.stdout.write(f"{path}: {manifest['rows']} lines, {counts['out']} of {counts['in']} turns")
        for code, n in counts["left_out"].items():
            self.stdout.write(f"  {n:>9} {reason_words(code)}")
        for cost in manifest.get("openai", {}).get("costs", ()):
            self.stdout.write(
                f"  fine-tuning {cost['model']}: about {cost['cost']} {cost['currency']} for {cost['epochs']} epochs"
            )


class _Progress:
    """Lines on stderr, two a second at most."""

    def __init__(self, command: BaseCommand) -> None:
        self._write, self._next = command.stderr.write, time.monotonic() + LINE_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self._write(f"{done} of {total} turns")


def _check_target(path: Path) -> None:
    if path.is_dir():
        raise CommandError(f"{path} is a folder; --out names a file.")
    if not path.parent.is_dir():
        raise CommandError(f"The folder {path.parent} does not exist.")
