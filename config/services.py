"""Where the servers that `manage.py up` started can be found.

`up` writes `<data dir>/run/services.json`; every other process of this installation reads it.
A URL given in the environment always wins, so the file is never needed on a cluster.
"""

import json
from pathlib import Path
from typing import Any


def services_file(data_dir: Path) -> Path:
    return data_dir / "run" / "services.json"


def read_services(data_dir: Path) -> dict[str, Any]:
    """What `up` wrote last: keys `redis`, `chroma`, `llamacpp` (`url`, `key`, `model`); {} when nothing runs."""
    try:
        found = json.loads(services_file(data_dir).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
