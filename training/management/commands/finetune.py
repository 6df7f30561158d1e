"""`manage.py finetune local|openai …` starts a fine-tune; `list`, `show`, `wait` and `cancel` look after it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from training.finetune import following, jobs, selectors, services
from training.finetune.errors import FineTuneError, NotFound
from training.finetune.options import KINDS
from training.models import FineTune
from training.wake import follow_soon

INTERRUPTED = 130
WAIT_SECONDS = 1.0


class Command(BaseCommand):
    help = "Trains a model on a frozen data set, on this machine or at OpenAI."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        for where, words in (("local", "on this machine"), ("openai", "at OpenAI; sends it the examples")):
            one = acts.add_parser(where, help=words)
            one.add_argument("--dataset", required=True, metavar="NAME_OR_ID")
            one.add_argument("--base", required=True, metavar="MODEL", help="the model that is trained further")
            one.add_argument("--name", required=True, help="of the result: letters, digits, - and _")
            one.add_argument("--method", default="sft", choices=FineTune.Method.values, help="default sft")
            one.add_argument("--wait", action="store_true", help="follow it to its end, also without a worker")
            _add_options(one, where)
        acts.add_parser("list", help="all fine-tunes, unfinished ones first")
        for act, words in (("show", "one fine-tune"), ("wait", "follow it to its end"), ("cancel", "end it")):
            acts.add_parser(act, help=words).add_argument("id", metavar="ID_OR_NAME")
        for one in acts.choices.values():
            one.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {"list": self._list, "show": self._show, "wait": self._wait_for, "cancel": self._cancel}
        try:
            acts.get(options["act"], self._start)(options)
        except FineTuneError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be read ({error}); run `manage.py migrate`.") from error
        except KeyboardInterrupt:
            self.stderr.write("Interrupted; a fine-tune that runs goes on. `finetune wait` follows it again.")
            sys.exit(INTERRUPTED)

    def _start(self, options: dict[str, Any]) -> None:
        where = options["act"]
        given = {one.name: options[one.name] for one in fields(KINDS[where]) if options[one.name] is not None}
        try:
            dataset = services.find_dataset(options["dataset"])
        except NotFound as error:
            raise CommandError(f"There is no data set {options['dataset']!r}; see the admin panel.") from error
        job = services.start(
            where=where,
            dataset=dataset,
            base=options["base"],
            name=options["name"],
            method=options["method"],
            options=given,
        )
        self.stderr.write(f"{job.pk}: {_cost_words(job)}")
        if options["wait"]:
            self._follow(job, options["json"])
            return
        follow_soon(job.pk)
        self._tell(job, options["json"])

    def _list(self, options: dict[str, Any]) -> None:
        found = selectors.recent()
        if options["json"]:
            self.stdout.write(json.dumps([selectors.data(job) for job in found], ensure_ascii=False))
            return
        for job in found:
            self.stdout.write(_line(job))

    def _show(self, options: dict[str, Any]) -> None:
        self._tell(_find(options["id"]), options["json"])

    def _wait_for(self, options: dict[str, Any]) -> None:
        self._follow(_find(options["id"]), options["json"])

    def _cancel(self, options: dict[str, Any]) -> None:
        job = services.cancel(job_id=_find(options["id"]).pk)
        follow_soon(job.pk)
        self._tell(job, options["json"])

    def _follow(self, job: FineTune, as_json: bool) -> None:
        """Looks itself when nobody else does, so that it also works without a worker."""
        told = 0
        shown = ""
        while True:
            following.look(job_id=job.pk)
            job = jobs.get(job.pk)
            for one in job.events[told:]:
                self.stderr.write(f"  {one['text']}")
            told = len(job.events)
            if (line := _line(job)) != shown:
                self.stderr.write(line)
                shown = line
            if selectors.is_over(job):
                break
            time.sleep(WAIT_SECONDS)
        if job.state != FineTune.State.DONE:
            raise CommandError(job.error or "It was cancelled.")
        self._tell(job, as_json)

    def _tell(self, job: FineTune, as_json: bool) -> None:
        found = selectors.data(job)
        if as_json:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        self.stdout.write(_line(job))
        if found["result"]:
            self.stdout.write(f"  model: {found['result']['model']}")
        if job.error:
            self.stdout.write(f"  {job.error}")


def _add_options(parser: CommandParser, where: str) -> None:
    for one in fields(KINDS[where]):
        flag = "--" + one.name.replace("_", "-")
        if isinstance(one.default, bool):
            parser.add_argument(
                f"--keep-{one.name.removeprefix('delete_')}", dest=one.name, action="store_const", const=False
            )
        else:
            kind = int if isinstance(one.default, int) else float
            parser.add_argument(flag, dest=one.name, type=kind, metavar="N", help=f"default {one.default}, or by size")


def _find(name_or_id: str) -> FineTune:
    """By id, or the newest of that name. Raises NotFound."""
    found = FineTune.objects.filter(name=name_or_id).order_by("-created").first()
    return jobs.get(found.pk if found else name_or_id)


def _line(job: FineTune) -> str:
    steps = f" {job.done}/{job.total}" if job.total else ""
    loss = f" loss {job.losses[-1][1]:.3f}" if job.losses and job.losses[-1][1] is not None else ""
    stage = "" if selectors.is_over(job) else f" {selectors.stage_label(job.stage)}"
    return f"{job.pk} {job.where:<6} {job.state:<9} {job.name}{stage}{steps}{loss}"


def _cost_words(job: FineTune) -> str:
    cost = job.cost
    words = f"{cost.get('examples', 0)} examples, {cost.get('epochs', 0)} epochs"
    if cost.get("estimate") is not None:
        return f"{words} of about {cost['tokens']} tokens: about {cost['estimate']} {cost['currency']}"
    if cost.get("seconds"):
        return f"{words}, about {round(cost['seconds'] / 60, 1)} minutes"
    return words
