"""Zip files: what is taken out of them, what is refused, and what becomes of the names."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from knowledge import services
from knowledge.errors import Refused
from knowledge.loaders import archive, errors
from knowledge.models import Document

from .office_files import zipped

MOST = 1_000_000


def names(data: bytes, filename: str = "all.zip") -> list[str]:
    return [name for name, content in archive.expand(filename, io.BytesIO(data), MOST) if content.read()]


def raw_named(name: bytes, content: bytes = b"text", flags: int = 0) -> bytes:
    """A zip file with one member of this very name, not marked as UTF-8."""
    data = zipped({"x" * len(name): content})
    at = data.index(b"PK\x01\x02")
    data = data.replace(b"x" * len(name), name)
    return data[:at] + data[at : at + 8] + struct.pack("<H", flags) + data[at + 10 :]


def test_members_with_known_types_are_taken() -> None:
    data = zipped(
        {
            "notes/one.txt": "One",
            "two.MD": "# Two",
            "photo.jpg": b"\xff\xd8\xff",
            "empty.txt": "",
            ".hidden.txt": "no",
            "__MACOSX/._one.txt": "no",
            "folder/": "",
        }
    )
    assert names(data) == ["one.txt", "two.MD"]


def test_other_files_pass_as_they_are() -> None:
    content = io.BytesIO(b"text")
    assert list(archive.expand("one.txt", content, MOST)) == [("one.txt", content)]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("räksmörgås.txt".encode(), "räksmörgås.txt"),
        ("Blåbær på Øya.txt".encode("cp850"), "Blåbær på Øya.txt"),
        ("코칭질문.txt".encode("cp949"), "코칭질문.txt"),
    ],
)
def test_names_in_the_encodings_of_their_makers(raw: bytes, name: str) -> None:
    assert names(raw_named(raw)) == [name]


def bomb() -> bytes:
    return zipped({f"{at}.txt": b"0" * 900_000 for at in range(30)})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"no zip file at all", "wrong_type"),
        (b"PK\x03\x04 broken", "damaged"),
        (zipped({"a.txt": "text"})[:-10], "damaged"),
        (zipped({"a.zip": zipped({"b.txt": "text"})}), "nested_archive"),
        (zipped({"../a.txt": "text"}), "unsafe_archive"),
        (zipped({"/etc/a.txt": "text"}), "unsafe_archive"),
        (zipped({"a/..\\..\\b.txt": "text"}), "unsafe_archive"),
        (zipped({"C:\\a.txt": "text"}), "unsafe_archive"),
        (zipped({"a.exe": "MZ"}), "nothing_inside"),
        (zipped({}), "nothing_inside"),
        (raw_named(b"a.txt", flags=1), "encrypted"),
        (zipped({"a.txt": b"0" * (MOST + 1)}), "too_large"),
        (bomb(), "too_large_inside"),
        (zipped({f"{at}.txt": "text" for at in range(archive.MOST_FILES + 1)}), "too_many_files"),
    ],
)
def test_what_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(errors.LoadError) as refused:
        names(data)
    assert refused.value.code == code


def test_a_list_of_names_that_is_too_long_is_not_read() -> None:
    data = bytearray(zipped({"a.txt": "text"}))
    struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, 0x7FFFFFFF)
    with pytest.raises(errors.TooManyFiles):
        names(bytes(data))


def test_a_member_that_lies_about_itself_is_damaged() -> None:
    data = zipped({"a.txt": b"text " * 1000})
    at = data.index(b"PK\x03\x04") + 40
    with pytest.raises(errors.Damaged):
        names(data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 20]) + data[at + 20 :])


def test_a_link_is_left_out() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("a.txt", "text")
    assert names(out.getvalue()) == ["a.txt"]


# --- as documents --------------------------------------------------------------------------------


def test_each_member_becomes_a_document(base: Any, ada: Any) -> None:
    files = [("all.zip", io.BytesIO(zipped({"a/one.txt": "One", "two.md": "# Two"}))), ("three.txt", io.BytesIO(b"3"))]
    added = services.add_documents(base=base, files=files, uploaded_by=ada, language="sv")
    assert [(document.filename, document.language) for document in added] == [
        ("one.txt", "sv"),
        ("two.md", "sv"),
        ("three.txt", "sv"),
    ]
    assert Document.objects.filter(uploaded_by=ada).count() == 3


def test_nothing_stays_of_an_archive_that_is_refused_in_the_middle(base: Any, settings: Any) -> None:
    data = zipped({"one.txt": b"text " * 1000, "two.txt": b"more " * 1000})
    at = data.rindex(b"PK\x03\x04") + 40
    broken = data[:at] + b"\xff" * 8 + data[at + 8 :]
    with pytest.raises(Refused) as refused:
        services.add_documents(base=base, files=[("all.zip", io.BytesIO(broken))])
    assert refused.value.code == "damaged"
    assert not Document.objects.exists()


def test_ingest_takes_archives_out_of_folders(db: None, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "all.zip").write_bytes(zipped({"one.txt": "One", "two.txt": "Two"}))
    (tmp_path / "bad.zip").write_bytes(zipped({"../one.txt": "One"}))
    with pytest.raises(CommandError, match="1 of 2 files"):
        call_command("ingest", str(tmp_path), "--base", "personal", "--json")
    assert sorted(Document.objects.values_list("filename", flat=True)) == ["one.txt", "two.txt"]
    assert "unsafe_archive" in capsys.readouterr().out
