"""Sixty made-up rated turns in twenty conversations; all marked as such, their coachee is no person."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from coach.models import Coach, Conversation, PromptMessage, Rating, Turn
from coach.provenance import APP, message_hash, prompt_hash
from llm.types import Message

PERSON, COACH, MODEL = "synthetic-demo", "synthetic-demo", "synthetic"
SYSTEM = "You are a coach. Answer in a few sentences: reflect what you hear, suggest one thing, end with a question."
CLOSING = "One small step: what will you do first, and on which day?"


def texts() -> list[list[tuple[str, str]]]:
    """Questions and answers by conversation; every answer ends with the same kind of question, to be seen later."""
    blocks = (Path(__file__).parent / "turns.txt").read_text(encoding="utf-8").split("\n\n")
    lines = [
        [line.split(" | ") for line in block.splitlines() if line and not line.startswith("#")] for block in blocks
    ]
    return [[(asked, f"{heard} {idea}\n\n{CLOSING}") for asked, heard, idea in block] for block in lines]


@transaction.atomic
def make() -> Coach:
    """The turns with their ratings and prompts; made anew each time, so that a later version has its own."""
    coach, _new = Coach.objects.get_or_create(
        slug=COACH, defaults={"name": "Synthetic demo", "mode": Coach.Mode.PERSONAL, "active": False}
    )
    person, _new = User.objects.get_or_create(username=PERSON, defaults={"is_active": False})
    person.set_unusable_password()
    person.training_consent = timezone.now()
    person.save()
    Conversation.objects.filter(owner=person, coach=coach).delete()
    for block in texts():
        conversation = Conversation.objects.create(
            owner=person, coach=coach, title=f"Synthetic: {block[0][0]}"[:120], language="en"
        )
        _fill(conversation, block)
    return coach


def _fill(conversation: Conversation, block: list[tuple[str, str]]) -> None:
    prompt, history = [Message("system", SYSTEM)], list[str]()
    stored: dict[str, Message] = {}
    for position, (question, answer) in enumerate(block):
        prompt.append(Message("user", question))
        hashes = [message_hash(message) for message in prompt]
        stored.update(zip(hashes, prompt, strict=True))
        turn = Turn.objects.create(
            conversation=conversation,
            position=position,
            question=question,
            answer=answer,
            state=Turn.State.DONE,
            model=MODEL,
            finished=timezone.now(),
            provenance={
                "messages": hashes,
                "sha256": prompt_hash(hashes),
                "opening": 1,
                "sampling": {},
                "generations": [],
                "chunks": [],
                "history": list(history),
                "app": APP,
            },
        )
        Rating.objects.create(turn=turn, rating=5 - position % 2, helpful=True)
        prompt.append(Message("assistant", answer))
        history.append(str(turn.pk))
    PromptMessage.objects.bulk_create(
        PromptMessage(conversation=conversation, sha256=sha256, role=message.role, text=message.content)
        for sha256, message in stored.items()
    )
