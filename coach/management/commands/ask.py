"""`ask "…"`: one turn through the real pipeline, on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from coach import selectors, services
from coach.errors import Refusal
from coach.models import Turn
from coach.turn import run_turn
from llm import loops

COMMAND_LINE_USER = "command-line"


class Command(BaseCommand):
    help = "Asks a coach one question; the answer streams to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--coach", default="personal")
        parser.add_argument(
            "--language",
            choices=[code for code, _name in settings.LANGUAGES],
            default="",
            help="of the answer; default: that of the question",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            turn = self._save(options["question"], options["coach"], options["language"])
        except Refusal as error:
            known = ", ".join(selectors.active_coaches().values_list("slug", flat=True))
            hint = f" Coaches here: {known or 'none; run manage.py up once'}." if error.code == "not_found" else ""
            raise CommandError(f"{error.message}{hint}") from error
        loops.run(self._answer(turn, quiet=options["json"]))
        done = selectors.turn_of(self._owner().pk, turn)
        assert done is not None  # noqa: S101 - it was saved above
        if options["json"]:
            self.stdout.write(json.dumps(self._document(done), ensure_ascii=False, indent=2))
        else:
            self._print_sources(done)
        if done.state != Turn.State.DONE:
            raise CommandError(done.failure or f"The turn ended as {done.state}.")

    def _owner(self) -> User:
        owner, created = User.objects.get_or_create(username=COMMAND_LINE_USER)
        if created:
            owner.set_unusable_password()
            owner.save()
        return owner

    def _save(self, question: str, coach: str, language: str) -> uuid.UUID:
        owner, turn = self._owner(), uuid.uuid4()
        conversation = services.start_conversation(owner_id=owner.pk, coach=coach, language=language or "en")
        services.ask(user_id=owner.pk, turn_id=turn, conversation_id=conversation.pk, text=question, language=language)
        return turn

    async def _answer(self, turn: uuid.UUID, quiet: bool) -> None:
        runner = f"ask:{turn}"
        if not await database_sync_to_async(services.claim)(turn_id=turn, runner=runner):
            return await self._wait(turn)
        context = await database_sync_to_async(selectors.turn_context)(turn)

        async def emit(type_: str, data: dict[str, Any]) -> None:
            if type_ == "token" and not quiet:
                sys.stdout.write(data["text"])
                sys.stdout.flush()
            elif type_ == "notice":
                sys.stderr.write(f"[{data['message']}]\n")
            elif type_ == "reset" and not quiet:
                sys.stdout.write("\n---\n")

        async def keep_lease() -> None:
            while True:
                await asyncio.sleep(1)
                await database_sync_to_async(services.renew_leases)(runner=runner)

        lease = asyncio.create_task(keep_lease())
        try:
            outcome = await run_turn(context, emit)
        finally:
            lease.cancel()
        await database_sync_to_async(services.finish_turn)(turn_id=turn, runner=runner, outcome=outcome)
        if not quiet:
            sys.stdout.write("\n")

    async def _wait(self, turn: uuid.UUID) -> None:
        """A running runner was quicker: its answer is read from the database."""
        for _second in range(300):
            unfinished = Turn.objects.filter(pk=turn, state__in=services.UNFINISHED)
            if not await database_sync_to_async(unfinished.exists)():
                break
            await asyncio.sleep(1)

    def _document(self, turn: Turn) -> dict[str, Any]:
        return {
            "turn": str(turn.pk),
            "state": turn.state,
            "language": turn.language,
            "sources": selectors.sources_of_turn(turn),
            "notices": turn.notices,
            **selectors.final_data(turn),
        }

    def _print_sources(self, turn: Turn) -> None:
        for source in selectors.sources_of_turn(turn):
            mark = "*" if source["n"] in turn.citations else " "
            self.stdout.write(f"{mark} [{source['n']}] {source['title']} ({source['location']})")
        if turn.model:
            self.stdout.write(f"  {turn.model}, {turn.place}")
