"""`manage.py evaluate retrieval DIR`, `manage.py evaluate answers DIR|FILE`: how good it is, on data with answers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from knowledge.embedding.errors import EmbedderUnavailable
from knowledge.embedding.registry import check
from knowledge.embedding.registry import embedder as embedder_for
from knowledge.embedding.types import Embedder
from llm import calls, loops, policy
from llm.errors import LanguageModelError
from training.evaluation import answers, report, retrieval, summary
from training.evaluation.datasets import Case, answer_files, read_cases, retrieval_sets
from training.evaluation.errors import EvaluationError
from training.evaluation.workspace import workspace
from training.models import EvaluationRun

Kind = EvaluationRun.Kind
PROGRESS_SECONDS = 2.0


class Command(BaseCommand):
    help = "Measures retrieval on BEIR folders, or answers on question/contexts/answers files."

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True)
        searching = kinds.add_parser("retrieval", help="a BEIR folder, or a folder of them")
        searching.add_argument("place", type=Path, metavar="DIR")
        answering = kinds.add_parser("answers", help="a .jsonl file of questions with contexts, or a folder of them")
        answering.add_argument("place", type=Path, metavar="DIR|FILE")
        answering.add_argument("--limit", type=int, help="so many questions, spread over languages and kinds")
        answering.add_argument("--seed", type=int, default=0, help="of that choice and of the intervals (default 0)")
        answering.add_argument("--model", default="", help="language models in order, as in COACH_MODELS")
        answering.add_argument("--mode", default="personal", choices=("personal", "university"), help="of the coach")
        answering.add_argument("--parallel", type=int, default=1, help="questions at once (default 1)")
        answering.add_argument(
            "--out", type=Path, metavar="FILE.jsonl", help="every answer; what is in it already is not asked again"
        )
        for one in (searching, answering):
            one.add_argument("--json", action="store_true", help="one JSON document on stdout")
            one.add_argument("--embedder", default="", metavar="ID", help="instead of COACH_EMBEDDER")
            one.add_argument("--no-store", action="store_true", help="leave no evaluation in the admin")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        try:
            run = self._retrieval(options) if options["kind"] == Kind.RETRIEVAL else self._answers(options)
        except (EvaluationError, EmbedderUnavailable, LanguageModelError) as error:
            raise CommandError(str(error)) from error
        run.seconds = round(time.monotonic() - started, 1)
        if not options["no_store"]:
            self._keep(run)
        if options["json"]:
            self.stdout.write(json.dumps(report.document(run), ensure_ascii=False))
        else:
            self.stdout.write(report.table(run))

    def _keep(self, run: EvaluationRun) -> None:
        try:
            run.save()
        except DatabaseError as error:
            self.stderr.write(f"The evaluation could not be stored: {error}")

    def _embedder(self, id_: str) -> Embedder:
        id_ = id_ or settings.COACH_EMBEDDER
        wrong = check(id_)
        if wrong:
            raise CommandError(wrong)
        return embedder_for(id_)

    def _retrieval(self, options: dict[str, Any]) -> EvaluationRun:
        folders = retrieval_sets(options["place"])
        embedder = self._embedder(options["embedder"])
        with workspace(embedder) as store:
            found = loops.run(retrieval.evaluate_sets(store, folders, embedder, self._progress))
        return EvaluationRun(
            kind=Kind.RETRIEVAL,
            data=options["place"].resolve().name[:200],
            embedder=embedder.id,
            items=sum(one["questions"] for one in found["sets"].values()),
            figures=found,
        )

    def _answers(self, options: dict[str, Any]) -> EvaluationRun:
        if (options["limit"] or 1) < 1 or options["parallel"] < 1:
            raise CommandError("--limit and --parallel must be at least 1.")
        cases = [case for path in answer_files(options["place"]) for case in read_cases(path)]
        cases = answers.sample(cases, options["limit"], options["seed"])
        embedder = self._embedder(options["embedder"])
        models = policy.resolve(options["model"])
        if models[0] == policy.GUIDED:
            self.stderr.write("No language model is named or runs here: guided mode answers, by quoting.")
        known = {(one.set, one.id): one for one in answers.read_answered(options["out"])} if options["out"] else {}
        found = [known[(case.set, case.id)] for case in cases if (case.set, case.id) in known]
        left = [case for case in cases if (case.set, case.id) not in known]
        if found:
            self.stderr.write(f"{len(found)} of {len(cases)} are answered already.")
        found += self._ask(left, embedder, options)
        calls.flush()
        return EvaluationRun(
            kind=Kind.ANSWERS,
            data=options["place"].resolve().stem[:200],
            embedder=embedder.id,
            model=", ".join(sorted({one.model for one in found}))[:200],
            items=len(found),
            setting={key: options[key] for key in ("limit", "seed", "mode", "model")},
            figures=summary.summarise(found, options["seed"]),
        )

    def _ask(self, cases: Sequence[Case], embedder: Embedder, options: dict[str, Any]) -> list[answers.Answered]:
        if not cases:
            return []
        shown = self._progress("questions")
        # As a list of its own: a canary (llm/live_order.py) answers none of them.
        models = ",".join(map(str, policy.resolve(options["model"])))

        async def all_of_them() -> list[answers.Answered]:
            found: list[answers.Answered] = []
            asked = answers.answer_cases(
                store, bases, cases, models=models, mode=options["mode"], parallel=options["parallel"]
            )
            async for answered in asked:
                if options["out"]:
                    await asyncio.to_thread(answers.write_answered, options["out"], answered)
                found.append(answered)
                shown(len(found), len(cases))
            return found

        with workspace(embedder) as store:
            bases = answers.index_cases(store, cases, embedder, self._progress("passages embedded"))
            return loops.run(all_of_them())

    def _progress(self, what: str) -> Callable[[int, int], None]:
        """A line on stderr, at most every two seconds, and at the end."""
        started = last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < PROGRESS_SECONDS and done < total:
                return
            last = now
            left = (now - started) / done * (total - done) if done else 0.0
            sys.stderr.write(f"\r{done} of {total} {what}, {left / 60:.1f} minutes left ")
            sys.stderr.write("\n" if done >= total else "")
            sys.stderr.flush()

        return show
