"""What is to be started: the part of the settings that the launcher needs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

PLAN_VARIABLE = "COACH_LAUNCH_PLAN"  # how `manage.py up` hands the plan to `python -m launcher`
HOST = "127.0.0.1"  # never another: the servers behind it have no users of their own
_LONGEST_SOCKET_FOLDER = 70  # Linux allows 107 characters for the socket's whole path
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")


@dataclass(frozen=True, slots=True)
class Plan:
    """One start. Folders are absolute.

    redis_url, chroma_url   '' means: start our own
    """

    base_dir: str
    data_dir: str
    cache_dir: str
    port: int
    redis_url: str
    chroma_url: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        return cls(**json.loads(text))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def base(self) -> Path:
        return Path(self.base_dir)

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def run_dir(self) -> Path:
        return self.data / "run"

    @property
    def services_path(self) -> Path:
        """Read by config/services.py, which is not imported here: it would bring Celery into this process."""
        return self.run_dir / "services.json"

    @property
    def log_dir(self) -> Path:
        return self.data / "log"

    @property
    def socket_dir(self) -> Path:
        """`<data>/run`; a short folder under the temporary one when that path is too long or not plain."""
        path = str(self.run_dir)
        if len(path) <= _LONGEST_SOCKET_FOLDER and _PLAIN_PATH.fullmatch(path):
            return self.run_dir
        digest = hashlib.sha256(path.encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"ai-coach-{os.getuid()}-{digest}"
