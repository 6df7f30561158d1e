"""Tables as text, e-mail and transcripts, and the encodings of the users' languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.loaders import errors
from knowledge.loaders.encoding import decode

from .test_loaders import KOREAN, NORWEGIAN, SWEDISH, blocks, load

SRT = """1
00:00:01,000 --> 00:00:03,000
Hej och <i>välkomna</i>

2
00:00:03,500 --> 00:00:05,000
till kursen.

3
00:00:30,000 --> 00:00:31,000
Efter en paus.

4
01:01:10,000 --> 01:01:12,000
Nästa del.
"""
VTT = """WEBVTT - A talk

NOTE nobody says this

STYLE
::cue { color: red }

intro
00:01.000 --> 00:03.000 align:start
<v Åsa>Hej &amp; välkomna</v>

00:03.000 --> 00:05.000
<c.loud>till</c> <00:04.000>kursen

00:05.000 --> 00:06.000
till kursen
"""
MAIL = """From: =?utf-8?q?=C3=85sa_=C3=96berg?= <asa@example.org>
To: bo@example.org
Subject: =?utf-8?b?TcO2dGUgcMOlIG3DpW5kYWc=?=
Date: Mon, 02 Feb 2026 10:00:00 +0100
MIME-Version: 1.0
"""


def test_a_table_with_semicolons(tmp_path: Path) -> None:
    text = 'Namn;Ort;Lön\r\nÅsa;"Malmö; syd";30 000,50\r\n\r\nØyvind;Bodø;3|4\r\n'
    assert blocks(load(tmp_path, text.encode("cp1252"), ".csv")) == [
        ((), "| Namn | Ort | Lön |\n|---|---|---|\n| Åsa | Malmö; syd | 30 000,50 |\n| Øyvind | Bodø | 3\\|4 |")
    ]


@pytest.mark.parametrize(
    ("text", "suffix"), [("a,b\n1,2\n", ".csv"), ("a\tb\n1\t2\n", ".tsv"), ("sep=|\na|b\n1|2\n", ".csv")]
)
def test_other_delimiters(tmp_path: Path, text: str, suffix: str) -> None:
    assert load(tmp_path, text, suffix).text == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_a_list_is_no_table(tmp_path: Path) -> None:
    assert load(tmp_path, "Names\nÅsa\nBo\n", ".csv").text == "Names\nÅsa\nBo"


def test_a_transcript_under_its_times(tmp_path: Path) -> None:
    assert blocks(load(tmp_path, SRT, ".srt")) == [
        (("0:00:01",), "Hej och välkomna till kursen."),
        (("0:00:01",), "Efter en paus."),
        (("1:01:10",), "Nästa del."),
    ]


def test_a_transcript_with_speakers(tmp_path: Path) -> None:
    assert blocks(load(tmp_path, VTT, ".vtt")) == [(("0:00:01",), "Åsa: Hej & välkomna till kursen")]


def test_a_plain_message(tmp_path: Path) -> None:
    body = f"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nHej!\n\n{SWEDISH}\n"
    document = load(tmp_path, MAIL.encode() + body.encode("cp1252"), ".eml")
    assert document.title == "Möte på måndag"
    assert blocks(document) == [
        ((), "From: Åsa Öberg <asa@example.org>\nTo: bo@example.org\nDate: Mon, 02 Feb 2026 10:00:00 +0100"),
        ((), "Hej!"),
        ((), SWEDISH),
    ]


def test_a_message_of_html_with_an_attachment(tmp_path: Path) -> None:
    body = (
        'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/html; charset=utf-8\n\n'
        f"<html><body><h1>Agenda</h1><p>{KOREAN}</p></body></html>\n--x\nContent-Type: application/pdf\n"
        'Content-Disposition: attachment; filename="plan.pdf"\n\nJVBERi0=\n--x--\n'
    )
    found = blocks(load(tmp_path, MAIL + body, ".eml"))
    assert found[1:] == [(("Agenda",), KOREAN), (("Agenda",), "- plan.pdf")]


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("<!doctype html><html><p>A page</p></html>", ".csv"),
        (b"PK\x03\x04 zip", ".csv"),
        ("Just words.\n\nNo headers.", ".eml"),
        ("Words: of a text\nthat only looks like it", ".eml"),
        ("1\nno times at all", ".srt"),
        ("00:00:01.000 --> 00:00:02.000\nno first line", ".vtt"),
    ],
)
def test_wrong_types(tmp_path: Path, content: bytes | str, suffix: str) -> None:
    with pytest.raises(errors.WrongType):
        load(tmp_path, content, suffix)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ("00:00:01,000 --> 00:00:02,000\n\n", ".srt"),
        (MAIL.split("From")[0] + "Subject: Re\nMIME-Version: 1.0\nContent-Type: image/png\n\n\n", ".eml"),
    ],
)
def test_nothing_in_it(tmp_path: Path, content: str, suffix: str) -> None:
    with pytest.raises(errors.NoText):
        load(tmp_path, content, suffix)


def test_a_message_nested_without_end_is_bounded(tmp_path: Path) -> None:
    inner = "Subject: x\nContent-Type: message/rfc822\n\n" * 3000
    with pytest.raises(errors.LoadError):
        load(tmp_path, inner + "Subject: end\n\nbody", ".eml")


def test_a_message_of_countless_parts_is_refused(tmp_path: Path) -> None:
    body = 'Content-Type: multipart/mixed; boundary="x"\n' + "\n--x\n\ntext" * 3000
    with pytest.raises(errors.TooLargeInside):
        load(tmp_path, MAIL + body, ".eml")


# --- encodings -----------------------------------------------------------------------------------

RUSSIAN = "Тренер помогает человеку найти собственный ответ. Сначала задайте вопрос."
JAPANESE = "コーチングは相手が自分で答えを見つけるのを助ける対話です。まず質問してください。"
CHINESE = "教练帮助对方自己找到答案。首先请提出问题，然后认真地听他说话。"
TAIWANESE = "教練幫助對方自己找到答案。首先請提出問題，然後認真地聽他說話。"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [SWEDISH, NORWEGIAN, KOREAN, "x < y 🙂 and more"])
def test_wide_encodings_without_a_mark(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["iso-8859-1", "cp1252"])
@pytest.mark.parametrize(
    "text",
    [
        SWEDISH,
        NORWEGIAN,
        "ÅÄÖ ÆØÅ åäö æøå",
        "Älvsjö, Östersund, Växjö, Ängelholm, Ålesund, Tromsø, Bærum",
        "På måndag äter vi blåbär i Åre; då är det märkbart kallare än förväntat, sägs det.",
        "Å være på ferie i Bodø, så nær sjøen, gjør meg så glad at jeg næsten gråter.",
        "éàè ñ ü ß – naïve café",
    ],
)
def test_western_text_is_never_taken_for_another_script(text: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    assert decode(data) == data.decode("cp1252")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (TAIWANESE, "big5"),
    ],
)
def test_other_scripts_when_they_are_plain(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("data", [bytes(range(256)) * 4, b"\x00" * 64, b"\x00\x01\x02\x03" * 40])
def test_bytes_that_are_no_text(data: bytes) -> None:
    with pytest.raises(errors.WrongType):
        decode(data)
