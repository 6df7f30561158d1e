"""Fetches one document from the web, if the admin allows it (COACH_URL_INGEST), and never from inside.

    address ─► scheme, port, host allowed? ─► resolved once, every address global? ─► connection to that very address
       ▲                                                                                   │
       └──────────────── a redirect is a new address, three at most ◄──────────────────────┘

An address is resolved once and the socket goes to what was checked: a name that answers otherwise the second time
(DNS rebinding) leads nowhere else. Proxies of the environment are not used.
"""

from __future__ import annotations

import functools
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from django.conf import settings

from .errors import AddressesOff, AddressFailed, AddressRefused, Refused
from .loaders import REGISTRY
from .loaders.errors import TooLarge, WrongType

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MOST_HOPS = 3
CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 30.0
_LONGEST = 2000
_PIECE = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?", re.I)
# '2130706433', '0x7f.1', '127.1': what the system's resolver reads as a number is never a name.
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?", re.I)
# Networks that carry an IPv4 address inside: 6to4, Teredo, NAT64.
_TUNNELS = tuple(map(ipaddress.ip_network, ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")))
_TYPES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/vtt": ".vtt",
    "application/x-subrip": ".srt",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/epub+zip": ".epub",
    "message/rfc822": ".eml",
}
# Types that say too little: the ending of the address decides.
_VAGUE = frozenset(("", "text/plain", "application/octet-stream", "binary/octet-stream", "text/x-markdown"))
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.I)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as if it had been uploaded; the name ends in a suffix of the registry."""

    filename: str
    content: bytes


def _resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """A unicast address of the open internet, also when it is written inside another one."""
    inner = getattr(address, "ipv4_mapped", None)
    if inner is not None:
        return is_public(inner)
    if address.version == 6 and (any(address in network for network in _TUNNELS) or address.is_site_local):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the network looks like; tests give their own."""

    resolve: Callable[[str, int], Sequence[str]] = _resolve
    is_public: Callable[[Address], bool] = is_public
    ports: frozenset[int] = frozenset(_PORTS.values())
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    seconds: float = TOTAL_SECONDS


def fetch(url: str, rules: Rules | None = None) -> Fetched:
    """The document at an address.

    Raises AddressesOff, AddressRefused (not allowed, or inside), AddressFailed (nothing usable came),
    Refused (too_large, wrong_type).
    """
    if not settings.COACH_URL_INGEST or settings.OFFLINE:
        raise AddressesOff
    rules = rules or Rules()
    deadline = time.monotonic() + rules.seconds
    for _ in range(MOST_HOPS + 1):
        target = _Target.of(url, rules)
        try:
            answer = _ask(target, rules, deadline)
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            raise AddressFailed from error
        if isinstance(answer, Fetched):
            return answer
        url = urljoin(url, answer)
    raise AddressFailed


@dataclass(frozen=True, slots=True)
class _Target:
    """An address that may be asked, with where its host is."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, url: str, rules: Rules) -> _Target:
        """Raises AddressRefused or AddressFailed (unknown name)."""
        try:
            parts = urlsplit(url.strip())
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise AddressRefused from None
        port = _PORTS.get(parts.scheme, 0) if port is None else port
        plain = len(url) <= _LONGEST and url.strip().isprintable() and " " not in url.strip()
        if not plain or parts.scheme not in _PORTS or port not in rules.ports or parts.username is not None:
            raise AddressRefused
        host = _host(host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port, _ascii(path), _addresses(host, port, rules))


def _host(host: str) -> str:
    """The name in ASCII, or a canonical IP address. Raises AddressRefused."""
    if not _is_number(host):
        try:
            host = host.encode("idna").decode("ascii").lower() if host else ""
        except UnicodeError:
            raise AddressRefused from None
        if not _NAME.fullmatch(host) or _NUMBER.fullmatch(host):
            raise AddressRefused
    allowed = settings.COACH_URL_HOSTS
    if allowed and not any(host == one.lstrip(".") or (one[0] == "." and host.endswith(one)) for one in allowed):
        raise AddressRefused
    return host


def _addresses(host: str, port: int, rules: Rules) -> tuple[str, ...]:
    """Raises AddressRefused when one of them is not public: such a name is a trap, or a network of its own."""
    try:
        found = [host] if _is_number(host) else list(rules.resolve(host, port))
    except (OSError, UnicodeError) as error:
        raise AddressFailed from error
    if not found:
        raise AddressFailed
    try:
        public = all(rules.is_public(ipaddress.ip_address(one)) for one in found)
    except ValueError:
        public = False
    if not public:
        raise AddressRefused
    return tuple(found)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(path: str) -> str:
    return "".join(one if one.isascii() else "".join(f"%{byte:02X}" for byte in one.encode()) for one in path)


class _Connection(http.client.HTTPConnection):
    """HTTP to an address that was checked, under the name of its host."""

    def __init__(self, target: _Target, rules: Rules, deadline: float) -> None:
        super().__init__(target.host, target.port)
        self._target, self._rules, self._deadline = target, rules, deadline

    def connect(self) -> None:
        problem: OSError = OSError("no address")
        for address in self._target.addresses[:2]:
            try:
                self.sock = socket.create_connection((address, self._target.port), CONNECT_SECONDS)
                break
            except OSError as error:
                problem = error
        else:
            raise problem
        if self._target.scheme == "https":
            self.sock = self._rules.context().wrap_socket(self.sock, server_hostname=self._target.host)
        self.sock.settimeout(max(0.01, self._deadline - time.monotonic()))


def _ask(target: _Target, rules: Rules, deadline: float) -> Fetched | str:
    """The document, or where it is instead. Raises OSError, HTTPException, AddressFailed, Refused."""
    connection = _Connection(target, rules, deadline)
    # A server that sends a byte now and then would keep each single read within its time.
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), functools.partial(_cut, connection))
    timer.daemon = True
    timer.start()
    try:
        headers = {"User-Agent": "ai-coach", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request("GET", target.path, headers=headers)
        response = connection.getresponse()
        if response.status in _REDIRECTS:
            return response.getheader("Location") or "/"
        if response.status != 200:
            raise AddressFailed
        return _document(target, response, _body(response, deadline))
    finally:
        timer.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Raises AddressFailed (cut off, or packed in a way we did not ask for) and Refused (too large)."""
    packed = (response.getheader("Content-Encoding") or "identity").lower()
    if packed not in ("identity", "gzip"):
        raise AddressFailed
    unpack = zlib.decompressobj(wbits=31) if packed == "gzip" else None
    most = settings.DOCUMENT_MAX_BYTES
    content = bytearray()
    while piece := response.read1(_PIECE):
        content += piece if unpack is None else unpack.decompress(piece, most + 1 - len(content))
        if len(content) > most or (unpack is not None and unpack.unconsumed_tail):
            raise Refused(TooLarge())
    if time.monotonic() >= deadline or response.length or not (unpack is None or unpack.eof):
        raise AddressFailed
    return bytes(content)


def _document(target: _Target, response: http.client.HTTPResponse, content: bytes) -> Fetched:
    said = response.getheader("Content-Type") or ""
    kind = said.partition(";")[0].strip().lower()
    path = PurePosixPath(unquote(urlsplit(target.path).path))
    ending = path.suffix.lower()
    suffix = ending if kind in _VAGUE and ending in REGISTRY else _TYPES.get(kind, "")
    if not suffix:
        raise Refused(WrongType())
    stem = path.name.removesuffix(path.suffix) if ending == suffix or ending in REGISTRY else path.name
    charset = _CHARSET.search(said)
    return Fetched((stem or target.host) + suffix, _as_declared(content, charset.group(1) if charset else "", kind))


def _as_declared(content: bytes, charset: str, kind: str) -> bytes:
    """What the header says about the encoding is lost in a file: such a text becomes UTF-8 with a mark."""
    if not kind.startswith("text/") or charset.lower() in ("", "utf-8", "utf8", "us-ascii"):
        return content
    try:
        text: Any = content.decode(charset)
    except (LookupError, UnicodeError):
        return content
    return text.encode("utf-8-sig") if isinstance(text, str) else content
