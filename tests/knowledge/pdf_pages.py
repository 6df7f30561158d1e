"""PDF pages drawn by hand: words and lines where a test wants them, Korean among them."""

from __future__ import annotations

from collections.abc import Sequence

from . import files

HEIGHT, WIDTH = 842, 595
_FONTS = (
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    b"<< /Type /Font /Subtype /Type0 /BaseFont /HYSMyeongJo-Medium /Encoding /UniKS-UTF16-H "
    b"/DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HYSMyeongJo-Medium /DW 1000 "
    b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1) /Supplement 1 >> >>] >>",
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
)


class Page:
    """y counts from the top of an A4 page, in points."""

    def __init__(self, turned: int = 0) -> None:
        self.turned = turned
        self._drawn: list[bytes] = []

    def words(self, x: float, y: float, text: str, size: float = 10, *, bold: bool = False) -> Page:
        for number, line in enumerate(text.split("\n")):
            font, shown = ("/F3" if bold else "/F1", b"")
            if all(ord(letter) < 256 for letter in line):
                escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
                shown = b"(" + escaped.encode("cp1252") + b")"
            else:
                font, shown = "/F2", b"<" + line.encode("utf-16-be").hex().encode() + b">"
            place = f"BT {font} {size} Tf {x} {HEIGHT - y - number * size * 1.2} Td ".encode()
            self._drawn.append(place + shown + b" Tj ET")
        return self

    def line(self, x: float, y: float, to_x: float, to_y: float) -> Page:
        self._drawn.append(f"{x} {HEIGHT - y} m {to_x} {HEIGHT - to_y} l S".encode())
        return self

    def box(self, x: float, y: float, width: float, height: float, paint: str = "S") -> Page:
        self._drawn.append(f"{x} {HEIGHT - y - height} {width} {height} re {paint}".encode())
        return self

    def table(self, x: float, y: float, widths: Sequence[float], rows: Sequence[Sequence[str]]) -> Page:
        """Rows 20 points high with all their lines."""
        for at in range(len(rows) + 1):
            self.line(x, y + 20 * at, x + sum(widths), y + 20 * at)
        for at in range(len(widths) + 1):
            self.line(x + sum(widths[:at]), y, x + sum(widths[:at]), y + 20 * len(rows))
        return self.cells(x, y, widths, rows)

    def cells(self, x: float, y: float, widths: Sequence[float], rows: Sequence[Sequence[str]]) -> Page:
        """Their words alone."""
        for at, row in enumerate(rows):
            for column, text in enumerate(row):
                if text:
                    self.words(x + sum(widths[:column]) + 3, y + 20 * at + 13, text)
        return self

    @property
    def stream(self) -> bytes:
        return b"\n".join(self._drawn)


def pdf(*pages: Page) -> bytes:
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", *_FONTS]
    kids = []
    for page in pages:
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page.stream), page.stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Rotate %d /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R >> >> >>"
            % (WIDTH, HEIGHT, page.turned, len(objects))
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    return files._assemble(objects, b"")
