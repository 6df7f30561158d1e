"""How an edge asks the worker for the long jobs of training; see llm/wake.py."""

from __future__ import annotations

from uuid import UUID

from llm.wake import send_soon

FOLLOW, COMPARE = "training.tasks_finetune.follow", "training.tasks_comparison.compare"
EXPORT, BUILD = "training.tasks_data.run_export", "training.tasks_data.build_dataset"
MARK = "training.tasks_consent.mark_exports"
ASK, COUNT = "training.tasks_review.ask_pair", "training.tasks_review.count_funnel"


def follow_soon(job_id: UUID | str, *, seconds: float = 0.0) -> None:
    """Look at a fine-tune."""
    send_soon(FOLLOW, "training", str(job_id), seconds=seconds)


def compare_soon(comparison_id: int) -> None:
    """Go on with a comparison."""
    send_soon(COMPARE, "training", comparison_id)


def pair_soon(batch: str, *, seconds: float = 0.0) -> None:
    """Ask for the next pair of answers of a batch."""
    send_soon(ASK, "training", batch, seconds=seconds)


def count_soon(*, days: int, coach: str, language: str) -> None:
    """Count the funnel of this choice."""
    send_soon(COUNT, "default", days, coach, language)


def export_soon(export_id: UUID) -> None:
    """Make a file of turns."""
    send_soon(EXPORT, "default", str(export_id))


def build_soon(dataset_id: int) -> None:
    """Go on with a data set."""
    send_soon(BUILD, "default", dataset_id)


def marks_soon(*, at_once: bool = False) -> None:
    """Mark the files that hold what somebody took back just now (exports/marks.py)."""
    send_soon(MARK, "default", at_once)
