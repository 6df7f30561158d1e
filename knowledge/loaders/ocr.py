"""Text recognition of scanned pages by Tesseract, if it is installed; README names the setting.

The worker's side finds the program and its languages once (`installed`); the child that reads the file is told
through its environment, and starts the program under its own limits.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .errors import TimedOut

# Tells the child: the program and its languages joined by '+'.
PROGRAM, LANGUAGES = "COACH_TESSERACT", "COACH_TESSERACT_LANGUAGES"
# More pages than can be read before the sandbox ends: 2 to 4 seconds each on one core.
MOST_PAGES = 150
SECONDS, SECONDS_A_PAGE = 420.0, 60.0
_DPI = 300
_MOST_PIXELS = 24_000_000  # A3 at 300 dots per inch is 17 million
_POINTS_AN_INCH = 72
_OTHER_SCRIPTS = ("kor", "jpn", "chi", "ara", "heb", "rus", "ukr", "ell", "hin", "tha")
_COLUMNS = 12  # of Tesseract's table: level, page, block, paragraph, line, word, place (4), confidence, text
# Per cent, over all letters of a page; scans of text have 80 to 96. Below the first one other languages are tried,
# below the second one it is no text.
_SURE, _LEAST_SURE = 75.0, 50.0


@functools.cache
def installed(wanted: tuple[str, ...]) -> dict[str, str]:
    """What to put into the child's environment: {} when Tesseract is not there or has none of these languages."""
    program = shutil.which("tesseract")
    if not wanted or program is None:
        return {}
    try:
        done = subprocess.run(  # noqa: S603 - the program that is on the path of the worker
            [program, "--list-langs"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    there = set(done.stdout.split())
    languages = [language for language in wanted if language in there]
    return {PROGRAM: program, LANGUAGES: "+".join(languages)} if languages else {}


def is_on() -> bool:
    """In the child: whether it was told of a program."""
    return bool(os.environ.get(PROGRAM))


def fill(path: Path, pages: Sequence[str], blank: Sequence[int]) -> list[str]:
    """The pages with the `blank` ones read from their pictures.

    Raises TimedOut when a document that is nothing but scanned pages has too many of them; the few of another
    document are left as they are then.
    """
    import pypdfium2 as pdfium

    filled = list(pages)
    scanned = len(blank) == len(pages)
    if len(blank) > MOST_PAGES:
        if scanned:
            raise TimedOut
        return filled
    reader = _Reader()
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError:
        return filled
    for at in blank:
        try:
            picture = _picture(document, at)
        except pdfium.PdfiumError:
            continue
        if picture:
            filled[at] = reader.read(picture)
    document.close()
    return filled


def _picture(document: object, at: int) -> bytes:
    """The page as a grey PGM file; b'' when it holds no picture at all."""
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    assert isinstance(document, pdfium.PdfDocument)  # noqa: S101
    page = document[at]
    if next(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3), None) is None:
        return b""
    width, height = page.get_size()
    inches = max(width * height / _POINTS_AN_INCH**2, 0.01)
    dpi = min(_DPI, (_MOST_PIXELS / inches) ** 0.5)
    bitmap = page.render(scale=dpi / _POINTS_AN_INCH, grayscale=True, draw_annots=False)
    data, stride = memoryview(bitmap.buffer).cast("B"), bitmap.stride
    rows = b"".join(data[row * stride : row * stride + bitmap.width] for row in range(bitmap.height))
    head = b"P5 %d %d 255\n" % (bitmap.width, bitmap.height)
    bitmap.close()
    page.close()
    return head + rows


class _Reader:
    """Runs the program on one page after another, first with the languages that did best so far.

    Together the scripts disturb each other: Korean beside Swedish reads worse, and takes twice as long.
    """

    def __init__(self) -> None:
        languages = os.environ[LANGUAGES].split("+")
        alone = [language for language in languages if language.startswith(_OTHER_SCRIPTS)]
        latin = "+".join(language for language in languages if language not in alone)
        self._groups = [group for group in (latin, *alone) if group]
        self._until = time.monotonic() + SECONDS

    def read(self, picture: bytes) -> str:
        """'' when the program is not sure of what it read: a photograph gives letters, too. Raises TimedOut."""
        best, most = "", 0.0
        for group in list(self._groups):
            text, sure = self._run(picture, group)
            if sure > most:
                best, most = text, sure
                self._groups.remove(group)
                self._groups.insert(0, group)
            if sure >= _SURE:
                break
        return best if most >= _LEAST_SURE else ""

    def _run(self, picture: bytes, languages: str) -> tuple[str, float]:
        """What it reads, and how sure it is in per cent."""
        left = min(SECONDS_A_PAGE, self._until - time.monotonic())
        if left <= 0:
            raise TimedOut
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "page")
            spaces = ("-c", "preserve_interword_spaces=1")  # else every Korean syllable becomes a word
            # Its search for columns takes the parts of Korean syllables for noise: there the page is one column.
            layout = ("--psm", "4" if languages.startswith(_OTHER_SCRIPTS) else "3")
            command = [os.environ[PROGRAM], "stdin", out, "-l", languages, *layout, "--dpi", str(_DPI), *spaces]
            command += ["txt", "tsv"]
            try:
                done = subprocess.run(  # noqa: S603 - as above; the file goes in as a picture, never as a name
                    command,
                    input=picture,
                    capture_output=True,
                    timeout=left,
                    env={**os.environ, "OMP_THREAD_LIMIT": "1"},
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise TimedOut from None
            if done.returncode:
                return "", 0.0
            text = Path(f"{out}.txt").read_text(encoding="utf-8", errors="replace")
            table = Path(f"{out}.tsv").read_text(encoding="utf-8", errors="replace")
        return re.sub(r" {2,}", " ", text.replace("\x0c", "")).strip(), _sureness(table)


def _sureness(table: str) -> float:
    """The mean confidence over all letters, from Tesseract's table of words; 0 when it read none."""
    sure = letters = 0.0
    for row in table.split("\n")[1:]:
        cells = row.rstrip("\r").split("\t")
        if len(cells) == _COLUMNS and cells[-1].strip():
            sure += float(cells[-2]) * len(cells[-1])
            letters += len(cells[-1])
    return sure / letters if letters else 0.0
