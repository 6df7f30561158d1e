"""What has a form: mail, links with a user's name, accounts, cards, national ids, telephone numbers, IP, addresses.

Where a number has a checksum it is not asked for: people mistype, and a mistyped id is personal, too.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import coach.safety

from .addresses import find_addresses
from .spans import Span, apart, plain

# Countries whose national numbers count as telephone numbers without a country code.
REGIONS = ("SE", "NO", "KR", "GB", "US")

_MAIL = re.compile(
    r"""(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}
        (?: \s?@\s? | \s?[\[(<{]\s?(?:at|snabel-?a|krøllalfa|alfakrøll|골뱅이)\s?[\])>}]\s?
          | \s(?:snabel-?a|krøllalfa|골뱅이)\s )
        (?: [^\W_](?:[\w-]{0,62}[^\W_])? (?:\s?[\[(<{]\s?(?:dot|punkt|punktum|점)\s?[\])>}]\s?
          |\s(?:dot|punkt|punktum|점)\s|\.) )+
        [^\W\d_]{2,24}
      | (?<![\w.+-])[\w.+-]{1,64} \s at \s (?:[\w-]{1,63} \s (?:dot|punkt|punktum) \s)+ [^\W\d_]{2,24}
      | (?<![\w.+-])[\w.+-]{1,64} \s at \s [a-z0-9-]{1,63}\.(?:com|org|net|edu|se|no|kr|co\.kr|uk|co\.uk|io|eu)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_URL = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,9}://|\bwww\.|\b(?=[a-z0-9.-]{1,80}\.[a-z]{2,6}/))[^\s<>\"'\]]+", re.IGNORECASE
)
_SOCIAL = re.compile(
    r"(?:linkedin|facebook|fb|instagram|twitter|x|tiktok|threads|github|gitlab|youtube|snapchat|pinterest|reddit|"
    r"medium|flickr|strava|blog\.naver|cafe\.naver|instagr|t|wa|open\.kakao|story\.kakao|velog|tistory|brunch|vk|"
    r"mastodon|bsky|soundcloud|spotify|goodreads|orcid|researchgate|about|linktr|calendly|paypal|venmo|keybase)"
    r"\.(?:com|net|org|me|ee|io|co\.kr|app|social|se|no|to)/[^\s/?#]",
    re.IGNORECASE,
)
_OWN_PATH = re.compile(
    r"[/?&#](?:~|@|(?:in|u|user|users|usr|profile|profiles|people|person|member|members|account|accounts|author|"
    r"staff|student|students|home|anvandare|användare|medlem|profil|profiler|bruker|ansatte|ansatt)/[^/\s])"
    r"|[?&](?:id|user|userid|user_id|uid|username|name|email|mail|e-?post|phone|tel|token|key|session|sid)=[^&\s]",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![\w@./])@[A-Za-z_][\w.]{2,29}(?![\w@])")
_IBAN = re.compile(r"\b([A-Za-z]{2})\d{2}(?:[ -]?[A-Za-z0-9]){11,30}\b")
# Characters of an account number by its country; of another country, as many as there are.
_IBAN_LENGTHS = {
    **{"NO": 15, "BE": 16, "DK": 18, "FI": 18, "NL": 18, "AT": 20, "EE": 20, "LT": 20, "LU": 20, "CH": 21, "LV": 21},
    **{"DE": 22, "GB": 22, "IE": 22, "CZ": 24, "ES": 24, "RO": 24, "SE": 24, "PT": 25, "IS": 26, "FR": 27, "GR": 27},
    **{"IT": 27, "HU": 28, "PL": 28},
}
_CARD = re.compile(r"(?<!\d)(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{2,7}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?!\d)")
_MONTH, _DAY = r"(?:0[1-9]|1[0-2]|[2-9]\d)", r"[0-9]\d"  # coordination, D and H numbers add to day and month
_IDS = re.compile(
    rf"""(?<![\d-])(?:
        (?:18|19|20)?\d{{2}}{_MONTH}{_DAY}\s?[-+]?\s?\d{{4}}      # se.personnummer, and of organisations
      | [0-7]\d[0-9]\d\d{{2}}[\s-]?\d{{5}} | [0-7]\d[0-9]\d\d{{2}}[\s-]\d{{3}}[\s-]\d{{2}}  # no.fodselsnummer
      | [0-7]\d\.[0-9]\d\.\d{{2}}[\s-]\d{{5}}
      | \d{{2}}[0-9]\d[0-3]\d\s?-?\s?[0-9][\d*]{{6}}              # kr.rrn, also with stars
      | \d{{6}}\s?-\s?\d{{7}} | \d{{6}}\s?-\s?\d{{4}}
      | \d{{3}}-\d{{2}}-\d{{4}} | \d{{3}}-\d{{2}}-\d{{5}}         # us.ssn, kr.brn
      | \d{{2}}-\d{{2}}-\d{{6}}-\d{{2}} | \d{{2}}-\d{{6}}-\d{{2}}   # driving licences of Korea
      | \d{{4}}[ .]\d{{2}}[ .]\d{{5}}                             # accounts in Norway
      | \d{{3,6}}-\d{{2,6}}-\d{{5,8}}(?:-\d{{1,3}})?              # accounts in Korea
      | \d{{4}}[,-]\d?\s?,?\s?\d{{2,3}}\s\d{{3}}\s\d{{3}}(?:-\d)? # accounts in Sweden
    )(?![\d-])
      | \b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\s?\d{{2}}\s?\d{{2}}\s?\d{{2}}\s?[A-D]\b   # gb.nino
      | \b[A-Z]{{1,2}}\d{{7,8}}\b | \b[A-Z]\d{{3}}[A-Z]\d{{4}}\b   # passports
    """,
    re.VERBOSE,
)
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?![\w:])", re.IGNORECASE)
_IP4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\d.]*\d)")
_NUMBER = re.compile(r"(?<![\w.,-])(?:\+|\(\+?|00)?\d(?:[ ./()-]{0,2}\d){6,16}(?!\d)(?![.,]\d)")
_NO_PHONE = re.compile(
    r"(?:1[5-9]|20)\d\d\s?[-/]\s?(?:1[5-9]|20)\d\d"  # from year to year
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"  # dates
    r"|[1-9]\d{0,2}(?: \d{3}){2,}|[1-9]\d{0,2}(?:\.\d{3})+"  # thousands
    r"|\d(?:[ /-]\d{1,2}){3,}|\d{1,3}(?:[/-]\d{1,2}){3,}"  # rows of small numbers
    r"|\d{4}/\d{3,4}|\d{4}\.\d{5}|\d{4}\. ?\d{1,2}\. ?\d{1,2}\.?"  # a law, a preprint, a Korean date
    r"|\d{1,2}[.:]\d{2} ?- ?\d{1,2}[.:]\d{2}"  # from hour to hour
    r"|(?!1[5-9]\d\d-)[1-9]\d{2,4} ?- ?\d{3,5}"  # from page to page
    r"|[1-9]0{6,}"  # a million
)
# Norwegian numbers have no zero before them: as they are written in groups, and mobile ones.
_NORWEGIAN = re.compile(r"[2-9]\d{2} \d{2} \d{3}|[2-9]\d(?: \d{2}){3}|[49]\d{7}")
_LONG = re.compile(r"(?<![\w.,])\d{9,}(?![\w]|[.,]\d)")


def find(text: str) -> list[Span]:
    """In the order of the text, none over another. Kinds: mail, url, handle, account, card, id, ip, address, phone."""
    flat = plain(text)
    return apart(span for finder in _FINDERS for span in finder(flat))


def _each(pattern: re.Pattern[str], kind: str, wanted: Callable[[str], bool] = bool) -> Callable[[str], Iterator[Span]]:
    def finder(text: str) -> Iterator[Span]:
        for match in pattern.finditer(text):
            if wanted(match[0]):
                yield Span(match.start(), match.end(), kind)

    return finder


def _urls(text: str) -> Iterator[Span]:
    for match in _URL.finditer(text):
        address = match[0].rstrip(".,;:!?)")
        secret = "@" in address.partition("//")[2].partition("/")[0]
        if secret or _SOCIAL.search(address) or _OWN_PATH.search(address):
            yield Span(match.start(), match.start() + len(address), "url")


def _accounts(text: str) -> Iterator[Span]:
    at = 0
    while match := _IBAN.search(text, at):
        at = match.end()
        places = [place for place in range(match.start(), match.end()) if text[place].isalnum()]
        places = places[: _IBAN_LENGTHS.get(match[1].upper(), len(places))]
        digits = sum(text[place].isdigit() for place in places)
        if len(places) >= 15 and digits >= len(places) - 6:
            at = places[-1] + 1  # another one may follow
            yield Span(match.start(), at, "account")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0].partition("/")[0])
    except ValueError:
        return False
    return ":" not in text or sum(map(str.isalnum, text)) >= 3


def _phones(text: str) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        found, start = match[0].rstrip("( ./-"), match.start()
        if found.startswith("(") and ")" not in found:  # it stands in brackets
            found, start = found[1:], start + 1
        if _is_phone(found):
            yield Span(start, start + len(found), "phone")


def _is_phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if digits in _helplines() or _NO_PHONE.fullmatch(text):
        return False
    return text.lstrip("(").startswith(("+", "0")) or bool(_NORWEGIAN.fullmatch(text)) or _possible(text)


def _possible(text: str) -> bool:
    import phonenumbers  # its tables take a moment to load

    for region in REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


@cache
def _helplines() -> frozenset[str]:
    """Digits of the numbers that a coach may give to anybody."""
    file = Path(str(coach.safety.__file__)).parent / "helplines.toml"
    found = re.findall(r"\+?\d[\d -]{1,18}\d", str(tomllib.loads(file.read_text(encoding="utf-8"))))
    return frozenset(re.sub(r"\D", "", number) for number in found)


# The first that claims a place has it.
_FINDERS: tuple[Callable[[str], Any], ...] = (
    _urls,
    _each(_MAIL, "mail"),
    _each(_HANDLE, "handle"),
    _accounts,
    _each(_CARD, "card"),
    _each(_IP6, "ip", _is_ip),
    _each(_IP4, "ip", _is_ip),
    find_addresses,
    _each(re.compile(r"(?<![\w.,])(?:\+|00)\d(?:[ ./()-]{0,2}\d){6,15}(?!\d)"), "phone"),
    _each(_IDS, "id"),
    _phones,
    _each(_LONG, "number"),
)
