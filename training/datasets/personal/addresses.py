"""Postal addresses of Sweden, Norway, Korea, Britain and the United States: a street with its number, and postcodes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .spans import Span

_CAP = r"[A-ZÅÄÖÆØÉÜ][a-zåäöæøéüáíñß'’-]{1,30}"
_CITY = rf"{_CAP}(?: (?:i|på|upon|on|of|under) {_CAP}| {_CAP})?"
_NUMBER = r"\d{1,3}(?:[A-Za-z](?!\w)| [A-Z](?!\w))?(?: ?[-/] ?\d{1,3}(?:[A-Za-z](?!\w))?)?"
_POST = rf"(?:,? *\n?(?:(?:SE|S|NO|N)-? ?)?(?:\d{{3}} ?\d{{2}}|\d{{4}}) {_CAP}(?: (?:i|på) {_CAP}| {_CAP})?)"
_FLAT = (
    r"(?:,? ?(?:lgh|lägenhet|leilighet|leil\.?|H0|U0|våning|vån\.?|etg\.?|etasje|tr\.?|c/o|port|oppg\.?|"
    r"uppg\.?) ?[\w.]{1,12}){0,3}"
)
# "Storgatan", "Stora Nygatan", "Sankt Eriksgatan", "Nils Hansens vei", "Karl Johans gate"
_NORDIC_END = (
    r"gatan|gata|gaten|gate|vägen|väg|veien|vei|vegen|veg|gränden|gränd|stigen|stien|stig|allén|allé|alleen|torget|"
    r"plassen|backen|backe|bakken|bakke|leden|stråket|kajen|bryggan|bryggen|svingen|kroken|terrassen|terrasse|haugen|"
    r"esplanaden|slingan|liden|tunet"
)
# Words that end many others, too: only with a postcode.
_NORDIC_WEAK = (
    r"plan|plats|platsen|torg|sti|kai|kaia|brygga|ringen|lia|åsen|parken|gången|hamnen|holmen|løkka|lunden|toppen|"
    r"marken|hagen|gård|gården|gt\.|berget|höjden|sund|vik|viken|vika|lund|ås|hult|by|stad|rud|berg|moen|jordet"
)
_NORDIC = re.compile(
    rf"(?<!\w)(?:{_CAP} ){{0,3}}[A-ZÅÄÖÆØÉÜ][\w'’-]{{0,30}}?(?:(?:{_NORDIC_END}) {_NUMBER}{_FLAT}{_POST}?|"
    rf"(?:{_NORDIC_WEAK}) {_NUMBER}{_FLAT}{_POST})(?!\w)"
)
_NORDIC_SPLIT = re.compile(
    rf"(?<!\w)(?!(?:På|Min|Din|Vår|En|Ett|Den|Det|Vilken|Hvilken|Sin|Hans|Hennes|Egen|Ny|I|Vid|Ved) )(?:{_CAP} ){{1,3}}"
    rf"(?:gata|gate|gt\.?|väg|vei|veg|gränd|stig|sti|allé|alle|torg|plass|plats|plan|backe|bakke|kai|terrasse|gård) "
    rf"{_NUMBER}{_FLAT}{_POST}?(?!\w)"
)
_NORDIC_CODE = re.compile(
    rf"(?<!\w)(?:(?:SE|S)-? ?\d{{3}} ?\d{{2}}|(?:NO|N)-? ?\d{{4}}) {_CITY}|"
    rf"(?<![\w-])\d{{3}} \d{{2}} {_CAP}(?: {_CAP})?|"
    rf"(?<![\w-])0\d{{3}} {_CAP}(?: {_CAP})?"
)
_NORDIC_CUED = re.compile(
    rf"(?i:\b(?:postnummer|postnr\.?|postkode|postadress[e]?|adress[en]*|adresse[n]?|postboks|box|boks|bor i|"
    rf"bor på|zip(?: code)?|postcode|우편번호|사서함)"
    rf"\s*(?:är|er|is|:|는|은)?\s*)((?:(?:SE|S|NO|N)-? ?)?\d{{2,5}}(?: \d{{2}})?(?: {_CAP})?(?:,? (?:(?:SE|S|NO|"
    rf"N)-? ?)?(?:\d{{3}} ?\d{{2}}|\d{{4}}) {_CAP})?)"
)
_ENGLISH_END = (
    r"Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|Ln\.?|Drive|Dr\.?|Court|Ct\.?|Way|Close|Crescent|Place|Pl\.?|Square|"
    r"Sq\.?|Boulevard|Blvd\.?|Terrace|Gardens|Grove|Hill|Row|Mews|Parkway|Pkwy\.?|Highway|Hwy\.?|Walk|Circle|"
    r"Cir\.?|Trail|Broadway"
)
_UK_CODE = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"
_US_CODE = r"[A-Z]{2},? \d{5}(?:-\d{4})?"
_UNIT = r"(?:Flat|Apartment|Apt\.?|Unit|Suite|Ste\.?|Room|#) ?\w+"
_ENGLISH = re.compile(
    rf"(?<!\w)(?:{_UNIT},? )?\d{{1,5}}[A-Za-z]?(?:-\d{{1,5}})? (?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.? )?"
    rf"(?:(?:{_CAP}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?:{_ENGLISH_END})(?!\w)(?:,? {_UNIT})?"
    rf"(?:,? *\n?{_CAP}(?: {_CAP}){{0,2}}(?:,? (?:{_UK_CODE}|{_US_CODE}))?)?(?:,? (?:{_UK_CODE}|{_US_CODE}))?"
)
_ENGLISH_CODE = re.compile(
    rf"\b[A-Z]{{1,2}}\d[A-Z\d]? \d[A-Z]{{2}}\b|\b{_CAP}(?: {_CAP})?, [A-Z]{{2}} \d{{5}}(?:-\d{{4}})?\b|"
    rf"\bP\.? ?O\.? ?Box \d{{1,6}}\b"
)
_DISTRICT = r"[가-힣]{1,10}(?:특별시|광역시|특별자치시|특별자치도|도|시|군|구|읍|면)"
_PARTICLE = r"(?=\s*(?:$|[^\w가-힣]|에|이|은|는|으로|로|입니다|이고|인데|예요|의|가|을|를))"
_INSIDE = (
    r"(?:,? ?(?:지하 ?)?\d+(?:동|층|호)|,? ?[가-힣A-Za-z0-9]{1,20}(?:아파트|빌딩|빌라|오피스텔|타워)"
    r"|,? ?\([가-힣0-9, ]{1,40}\)){0,4}"
)
_KOREAN = re.compile(
    rf"(?:\(?\d{{5}}\)? )?"
    rf"(?:(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주) )?"
    rf"(?:{_DISTRICT} ){{1,4}}[가-힣]{{0,10}}\d{{0,4}}[가-힣]{{0,10}}(?:대로|로|길|동|리|가)\d* ?(?:\d+(?:번가|"
    rf"번)?길 ?)?\d+(?:-\d+)?(?:번지)?{_INSIDE}"
)
# Words with the ending of a street.
_NO_STREET = (
    r"(?!바로|새로|서로|따로|주로|별로|홀로|실로|참으로|스스로|제대로|그대로|이대로|마음대로|멋대로|실제로|차례로|때로)"
)
_KOREAN_STREET = re.compile(
    rf"(?<![가-힣]){_NO_STREET}[가-힣]{{1,6}}\d*(?:대로|(?<!으)로|길)(?: ?\d+(?:번가|번)?길)?"
    rf" ?\d{{1,4}}(?:-\d+)?{_INSIDE}(?:번지)?{_PARTICLE}"
    rf"|(?<![가-힣])[가-힣]{{1,6}}\d*(?:동|리) \d+-\d+(?:번지)?{_INSIDE}|(?<![가-힣])[가-힣]{{2,5}}동 \d+번지"
    rf"|(?<![가-힣A-Za-z])[가-힣A-Za-z]{{1,20}}(?:아파트|빌라|오피스텔) \d+동(?: ?\d+호)?"
    rf"|(?<!\d)\d{{3,4}}동 \d{{3,4}}호"
)

_WHOLE = (_NORDIC, _NORDIC_SPLIT, _ENGLISH, _KOREAN, _KOREAN_STREET, _NORDIC_CODE, _ENGLISH_CODE)


def find_addresses(text: str) -> Iterator[Span]:
    for pattern in _WHOLE:
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), "address")
    for match in _NORDIC_CUED.finditer(text):
        yield Span(match.start(1), match.end(1), "address")
