"""Room on the disk, looked at before anything is fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.utils.translation import gettext as _

from .errors import NotEnoughDisk

# Beside the file itself: the wheels on their way, and room for the system to breathe.
SPARE_BYTES = 300_000_000


def refuse_a_full_disk(name: str, folder: Path, needed: int) -> None:
    """Raises NotEnoughDisk when `folder` (or the nearest one above that exists) lacks `needed` bytes and a spare."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    needed, free = needed + SPARE_BYTES, shutil.disk_usage(there).free
    if free < needed:
        raise NotEnoughDisk(
            _("%(name)s needs %(needed).1f GB in %(folder)s, but only %(free).1f GB are free.")
            % {"name": name, "needed": needed / 1e9, "folder": folder, "free": free / 1e9}
        )
