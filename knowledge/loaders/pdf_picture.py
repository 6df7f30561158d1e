"""A page of a PDF as a PNG picture, drawn by PDFium; it runs in the sandbox (child.py)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pypdfium2 as pdfium

from .errors import Damaged, Encrypted, NoPage

# Sharp enough to read, and small: a page of text takes 100 kB. A page may be a mile long or hold a photograph.
WIDTH, MOST_PIXELS, MOST_BYTES = 1000, 2_000_000, 3_000_000
_PASSWORD = 4  # FPDF_ERR_PASSWORD


def draw(path: Path, number: int) -> bytes:
    """Page `number`, from 1, as people see it, with what was filled in. Raises Encrypted, Damaged or NoPage."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        raise (Encrypted if error.err_code == _PASSWORD else Damaged) from error
    try:
        if not 1 <= number <= len(document):
            raise NoPage
        document.init_forms()
        page = document[number - 1]
        width, height = (max(side, 1.0) for side in page.get_size())
        scale = min(WIDTH / width, (MOST_PIXELS / (width * height)) ** 0.5)
        picture = _drawn(page, scale)
        return picture if len(picture) <= MOST_BYTES else _drawn(page, scale / 2)
    except pdfium.PdfiumError as error:
        raise Damaged from error
    finally:
        document.close()


def _drawn(page: pdfium.PdfPage, scale: float) -> bytes:
    """Three bytes a pixel, red first."""
    bitmap = page.render(scale=scale, rev_byteorder=True)
    data, size = memoryview(bitmap.buffer).cast("B"), bitmap.width * 3
    rows = b"".join(
        b"\0" + data[row * bitmap.stride : row * bitmap.stride + size].tobytes() for row in range(bitmap.height)
    )
    head = struct.pack(">IIBBBBB", bitmap.width, bitmap.height, 8, 2, 0, 0, 0)
    bitmap.close()
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
