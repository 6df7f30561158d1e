"""Strict reading of environment variables.

Every value is checked when the settings load: an unknown or malformed value stops the start
with one sentence that names the variable (habit 5 of the style guide, after healthchecks).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit


class ConfigurationError(Exception):
    """A setting is unknown or malformed; the message is one plain sentence for the operator."""


class Env:
    """Typed access to a mapping of environment variables; an empty value counts as absent."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def flag(self, name: str, default: bool) -> bool:
        raw = self.text(name)
        if not raw:
            return default
        if raw.lower() in {"1", "true", "yes", "on"}:
            return True
        if raw.lower() in {"0", "false", "no", "off"}:
            return False
        raise ConfigurationError(f"{name} must be 1 or 0, not {raw!r}.")

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        raw = self.text(name, default)
        if raw not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {raw!r}.")
        return raw

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        raw = self.text(name)
        if not raw:
            return default
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ConfigurationError(f"{name} must be a whole number from {low} to {high}, not {raw!r}.")
        return int(raw)

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A comma-separated list; blanks around and between are dropped."""
        raw = self.text(name)
        return [part.strip() for part in raw.split(",") if part.strip()] if raw else list(default)

    def codes(self, name: str, pattern: str, default: tuple[str, ...]) -> list[str]:
        """A comma-separated list of words of one form; 'off' for none."""
        words = self.names(name, default)
        if [word.lower() for word in words] == ["off"]:
            return []
        wrong = [word for word in words if word.lower() == "off" or not re.fullmatch(pattern, word)]
        if wrong:
            raise ConfigurationError(f"{name} must be a list such as {','.join(default)}, or off; not {wrong[0]!r}.")
        return words

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> str:
        raw = self.text(name, default)
        if not raw:
            return ""
        try:
            parts = urlsplit(raw)
            parts.port  # noqa: B018 - the property raises on a malformed port
        except ValueError as error:
            raise ConfigurationError(f"{name} is not a valid URL: {error}.") from error
        if parts.scheme not in schemes or not (parts.netloc or parts.path):
            raise ConfigurationError(
                f"{name} must be a URL that starts with {' or '.join(s + '://' for s in schemes)}, not {raw!r}."
            )
        return raw

    def folder(self, name: str, default: Path) -> Path:
        raw = self.text(name)
        folder = Path(raw).expanduser() if raw else default
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"{name} must name a folder, but {folder} is a file.")
        return folder.absolute()
