"""The files that a start writes: folders, the services file, ports, the model server's key."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import Any

from .errors import StartError
from .plan import HOST, Plan


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step; readable by its owner only."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def make_folders(plan: Plan) -> None:
    """Raises StartError when the data folder cannot be written."""
    try:
        for folder in (plan.data, plan.log_dir, plan.data / "valkey", plan.data / "chroma"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in {plan.run_dir, plan.socket_dir}:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise StartError(f"The folder {folder} belongs to another user; remove it or set COACH_DATA_DIR.")
            folder.chmod(0o700)
    except OSError as error:
        raise StartError(
            f"The data folder {plan.data} cannot be written ({error.strerror}); set COACH_DATA_DIR to another one."
        ) from error


def clear_stale(plan: Plan) -> None:
    """Remove what a start that was killed left behind. Only the holder of the lock may call it."""
    plan.services_path.unlink(missing_ok=True)
    for name in ("adapters.json", "llamacpp.key", "supervisord.conf", "supervisord.pid"):
        (plan.run_dir / name).unlink(missing_ok=True)
    for path in plan.run_dir.glob("adapter-*.key"):
        path.unlink(missing_ok=True)
    for path in plan.socket_dir.glob("*.sock*"):
        path.unlink(missing_ok=True)


def remove_all(plan: Plan) -> None:
    """What `clear_stale` removes, and the short socket folder if there is one."""
    clear_stale(plan)
    if plan.socket_dir != plan.run_dir:
        shutil.rmtree(plan.socket_dir, ignore_errors=True)


def write_services(plan: Plan, services: dict[str, Any]) -> None:
    """Tell the other processes of this installation where the servers are (config/services.py)."""
    write_private(plan.services_path, json.dumps(services, indent=1))


def new_key(plan: Plan) -> tuple[str, Path]:
    """A random API key for the model server, and the file that holds it."""
    key, path = secrets.token_urlsafe(32), plan.run_dir / "llamacpp.key"
    write_private(path, key)
    return key, path


def choose_ports(plan: Plan, names: tuple[str, ...]) -> dict[str, int]:
    """A free TCP port of the loopback for each name; the one of the last start when it is still free."""
    path = plan.run_dir / "ports.json"
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = {}
    ports: dict[str, int] = {}
    for name in names:
        wanted = last.get(name) if isinstance(last, dict) else None
        ports[name] = _bound_port(wanted if isinstance(wanted, int) and wanted != plan.port else 0)
    write_private(path, json.dumps(ports))
    return ports


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    return _bound_port(0)


def _bound_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
