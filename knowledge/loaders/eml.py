"""E-mail (.eml): the subject is the title; who wrote when stands above the text. Attachments are only named."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from .encoding import decode
from .errors import Damaged, NoText, TooLargeInside
from .html import read_into
from .types import LoadedDocument, TextBuilder

_HEADERS = ("From", "To", "Cc", "Date")
_LONGEST_HEADER = 300
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
MOST_PARTS = 500
# Lines that may part one section from the next: the parser of the standard library takes minutes for 100,000.
_MOST_BOUNDARIES = 2000


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    data = path.read_bytes()
    if data.count(b"\n--") > _MOST_BOUNDARIES:
        raise TooLargeInside
    builder = TextBuilder()
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        builder.title = _header(message, "Subject")
        head = [f"{name}: {_header(message, name)}" for name in _HEADERS if _header(message, name)]
        builder.add("\n".join(head))
        _body(builder, message)
        names = [part.get_filename() or "" for part in message.iter_attachments()][:MOST_PARTS]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # The parser of the standard library lets these through for malformed messages.
        raise Damaged from error
    builder.add("\n".join(f"- {' '.join(name.split())}" for name in names if name))
    return builder.finish()


def _body(builder: TextBuilder, message: EmailMessage) -> None:
    """The plain text if there is one, else the HTML. Raises NoText when there is neither."""
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    text = _text(plain) if plain is not None else ""
    if text.strip():
        for paragraph in _EMPTY_LINES.split(text):
            builder.add(paragraph)
    elif page is not None:
        read_into(builder, _text(page), deeper=1)
    else:
        raise NoText


def _text(part: MIMEPart) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    charset = part.get_content_charset() or ""
    try:
        # Programs that say nothing, or ascii, mean anything.
        return data.decode(charset).replace("\r\n", "\n") if charset not in ("", "us-ascii") else decode(data)
    except (LookupError, UnicodeError):
        return decode(data)


def _header(message: EmailMessage, name: str) -> str:
    value = " ".join(str(message.get(name, "")).split())
    return value.encode("utf-8", "replace").decode("utf-8")[:_LONGEST_HEADER]
