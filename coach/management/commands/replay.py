"""`replay TURN`: the turn's prompt answered again, with what differs from the answer the coachee got."""

from __future__ import annotations

import json
import sys
from argparse import FileType
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from coach.models import Turn
from coach.replay import OWN_BASES, Change, Replayed, ReplayFailed, replay
from coach.replay_difference import differences, source_changes
from llm import loops


class Command(BaseCommand):
    help = "Answers a stored turn again on another model, prompt or index; nothing is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("turn", type=UUID)
        parser.add_argument("--model", default="", help="as in COACH_MODELS; default: those the coach has now")
        parser.add_argument(
            "--prompt", type=FileType("r", encoding="utf-8"), help="a file that takes the place of the opening"
        )
        parser.add_argument(
            "--base",
            default="",
            help=f"search again in the live index of this knowledge base; {OWN_BASES} for those of the coach",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        turn = Turn.objects.filter(pk=options["turn"]).first()
        if turn is None:
            raise CommandError(f"There is no turn {options['turn']}.")
        prompt = options["prompt"].read().strip() if options["prompt"] else ""
        change = Change(model=options["model"], prompt=prompt, search=options["base"])
        try:
            found = loops.run(replay(turn.pk, change))
        except ReplayFailed as error:
            raise CommandError(str(error)) from error
        if not found.exact:
            sys.stderr.write("The prompt was not stored with this turn: it was put together again.\n")
        if options["json"]:
            self.stdout.write(json.dumps(_document(turn, found), ensure_ascii=False, indent=2))
        else:
            self._print(turn, found)

    def _print(self, turn: Turn, found: Replayed) -> None:
        before, after = differences(turn.answer, found.answer)
        self.stdout.write(f"--- {turn.model or '–'}\n{_marked(before, '[-', '-]')}")
        self.stdout.write(f"+++ {found.model}, {found.place}, {found.seconds} s\n{_marked(after, '{+', '+}')}")
        for change, source in source_changes(turn, found.sources):
            self.stdout.write(f"{change} [{source['n']}] {source['title']} ({source['location']})")


def _marked(pieces: list[Any], opening: str, closing: str) -> str:
    return "".join(f"{opening}{piece.text}{closing}" if piece.own else piece.text for piece in pieces)


def _document(turn: Turn, found: Replayed) -> dict[str, Any]:
    before, after = differences(turn.answer, found.answer)
    return {
        "turn": str(turn.pk),
        "exact": found.exact,
        "messages": [asdict(message) for message in found.messages],
        "before": {"model": turn.model, "answer": turn.answer, "citations": turn.citations},
        "after": {
            "model": found.model,
            "place": found.place,
            "answer": found.answer,
            "citations": list(found.citations),
            "seconds": found.seconds,
            "usage": {key: value for key, value in asdict(found.usage).items() if value is not None},
        },
        "difference": {
            "before": [[piece.text, piece.own] for piece in before],
            "after": [[piece.text, piece.own] for piece in after],
        },
        "sources": [{"change": change, **source} for change, source in source_changes(turn, found.sources)],
    }
