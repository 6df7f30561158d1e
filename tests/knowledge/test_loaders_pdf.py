"""PDF beyond plain pages: forms, hyphens, what PDFium refuses, and scanned pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from knowledge.loaders import errors, ocr, sandbox

from . import files, office_files
from .test_loaders import load

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="Tesseract is not installed (apt install tesseract-ocr)"
)
LONG = "A habit is built slowly and with small steps."


def pictures(*lines: str) -> list[tuple[int, int, bytes]]:
    """Pages of text as a scanner gives them."""
    import pypdfium2 as pdfium

    document = pdfium.PdfDocument(files.pdf(lines))
    found = []
    for page in document:
        bitmap = page.render(scale=200 / 72, grayscale=True)
        data = memoryview(bitmap.buffer).cast("B")
        rows = b"".join(data[at * bitmap.stride : at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
        found.append((bitmap.width, bitmap.height, rows))
    return found


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that reads the same from every picture, as sure of it as the file `sure` says."""
    path = tmp_path / "program"
    sure = tmp_path / "sure"
    sure.write_text("90")
    head = "\\t".join(["level", *"pbplwxywh", "conf", "text"])
    row = "\\t".join([*"511111009", "9", "%s", "Read"])
    path.write_text(
        "#!/bin/sh\ncat >/dev/null\nprintf 'Read from a picture.\\n' >$2.txt\n"
        f"printf '{head}\\n{row}\\n' \"$(cat {sure})\" >$2.tsv\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv(ocr.PROGRAM, str(path))
    monkeypatch.setenv(ocr.LANGUAGES, "swe+eng+kor")
    return sure


# --- pages ---------------------------------------------------------------------------------------


def test_words_cut_at_the_end_of_a_line_are_joined(tmp_path: Path) -> None:
    stream = b"BT /F1 12 Tf 14 TL 72 720 Td (The commit-) Tj T* (ment grows with each small step.) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 3 0 R >> >> >>",
    ]
    data = files._assemble(objects, b"")
    assert "commitment grows" in load(tmp_path, data, ".pdf").text


def test_what_was_filled_into_a_form_is_read(tmp_path: Path) -> None:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /DA (/F1 12 Tf 0 g) >> >>",
        b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
        b"<< /Length 0 >>\nstream\n\nendstream",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R /Annots [5 0 R] >>",
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (goal) /V (Walk each morning) /Rect [72 700 300 720] /P 4 0 R >>",
    ]
    assert load(tmp_path, files._assemble(objects, b""), ".pdf").text == "Walk each morning"


def test_a_table_of_contents_that_is_damaged_is_mended(tmp_path: Path) -> None:
    data = files.pdf([LONG]).replace(b"startxref\n", b"startxref\n99")
    assert load(tmp_path, data, ".pdf").text == LONG


# --- scanned pages -------------------------------------------------------------------------------


def test_scanned_pages_without_the_program_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ocr.PROGRAM, raising=False)
    with pytest.raises(errors.NoText):
        load(tmp_path, office_files.scanned_pdf(pictures(LONG)), ".pdf")


def test_only_the_pages_without_text_are_recognised(tmp_path: Path, program: Path) -> None:
    scan = office_files.scanned_pdf(pictures(LONG))
    assert load(tmp_path, scan, ".pdf").text == "Read from a picture."
    # A page that is empty holds no picture either: the program is not asked.
    document = load(tmp_path, files.pdf([LONG, "", LONG + " Again."]), ".pdf")
    assert [block.page for block in document.blocks] == [1, 3]


def test_what_the_program_is_not_sure_of_is_no_text(tmp_path: Path, program: Path) -> None:
    program.write_text("20")
    with pytest.raises(errors.NoText):
        load(tmp_path, office_files.scanned_pdf(pictures(LONG)), ".pdf")


def test_too_many_scanned_pages_are_refused(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "MOST_PAGES", 1)
    with pytest.raises(errors.TimedOut):
        load(tmp_path, office_files.scanned_pdf(pictures(LONG, LONG)), ".pdf")


def test_recognition_that_takes_too_long_is_ended(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "SECONDS", 0.0)
    with pytest.raises(errors.TimedOut):
        load(tmp_path, office_files.scanned_pdf(pictures(LONG)), ".pdf")


def test_languages_that_are_not_installed_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tesseract"
    path.write_text("#!/bin/sh\nprintf 'List of available languages (2):\\neng\\nswe\\n'\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ocr.installed.cache_clear()
    assert ocr.installed(("swe", "kor", "eng")) == {ocr.PROGRAM: str(path), ocr.LANGUAGES: "swe+eng"}
    assert ocr.installed(("nor",)) == {}
    assert ocr.installed(()) == {}
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    ocr.installed.cache_clear()
    assert ocr.installed(("swe",)) == {}
    ocr.installed.cache_clear()


@needs_tesseract
def test_tesseract_reads_a_scan_in_the_sandbox(tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "scan.pdf"
    swedish = "Vanor byggs långsamt och med många små steg."
    path.write_bytes(office_files.scanned_pdf(pictures(LONG, swedish)))
    ocr.installed.cache_clear()
    document = sandbox.load(path, ".pdf")
    assert (document.blocks[0].page, document.text.split("\n")[0]) == (1, LONG)
    if "swe" in ocr.installed(tuple(settings.COACH_OCR_LANGUAGES))[ocr.LANGUAGES].split("+"):
        assert swedish in document.text
    settings.COACH_OCR_LANGUAGES = []
    with pytest.raises(errors.NoText):
        sandbox.load(path, ".pdf")
