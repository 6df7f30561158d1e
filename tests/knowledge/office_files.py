"""Small files of the zipped formats and a page that was scanned, made by hand like those of files.py."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

from .files import _assemble

R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)


def zipped(parts: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    """rId1, rId2 … of (type, target)."""
    inside = "".join(
        f'<Relationship Id="rId{at}" Type="{R}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{inside}</Relationships>'


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)


def shape(lines: Sequence[str], placeholder: str = "") -> str:
    place = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else "<p:nvPr/>"
    return f"<p:sp><p:nvSpPr>{place}</p:nvSpPr><p:txBody>{_paragraphs(lines)}</p:txBody></p:sp>"


def grid(rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(
        "<a:tr>" + "".join(f"<a:tc><a:txBody>{_paragraphs([cell])}</a:txBody></a:tc>" for cell in row) + "</a:tr>"
        for row in rows
    )
    return (
        f"<p:graphicFrame><a:graphic><a:graphicData><a:tbl>{cells}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None) -> bytes:
    """Slides in this order, whatever their file names say: the last one is called slide1.xml."""
    names = [f"slides/slide{len(slides) - at}.xml" for at in range(len(slides))]
    ids = "".join(f'<p:sldId id="{256 + at}" r:id="rId{at + 1}"/>' for at in range(len(slides)))
    parts = {
        "[Content_Types].xml": "<Types/>",
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>{ids}</p:sldIdLst>'
        "</p:presentation>",
        "ppt/_rels/presentation.xml.rels": _relations([("slide", name) for name in names]),
    }
    for at, (name, inside) in enumerate(zip(names, slides, strict=True)):
        parts[f"ppt/{name}"] = _tree("sld", inside)
        if at in (notes or {}):
            parts[f"ppt/slides/_rels/{name.removeprefix('slides/')}.rels"] = _relations(
                [("notesSlide", f"../notesSlides/n{at}.xml")]
            )
            parts[f"ppt/notesSlides/n{at}.xml"] = _tree("notes", shape([(notes or {})[at]], "body"))
    return zipped(parts)


def _tree(kind: str, inside: str) -> str:
    return f'<p:{kind} xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree>{inside}</p:spTree></p:cSld></p:{kind}>'


def xlsx(sheets: Mapping[str, str], strings: Sequence[str] = (), hidden: Sequence[str] = ()) -> bytes:
    """Sheets by name, each its rows as XML. Style 1 is a date, 2 a percentage."""
    states = ("visible", "hidden")
    listed = "".join(
        f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}" state="{states[name in hidden]}"/>'
        for at, name in enumerate(sheets, start=1)
    )
    targets = [("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)]
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(targets),
        "xl/sharedStrings.xml": f'<sst xmlns="{S}">{shared}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{S}"><numFmts>'
        '<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="9"/></cellXfs></styleSheet>',
    }
    for (_, target), rows in zip(targets, sheets.values(), strict=True):
        parts[f"xl/{target}"] = f'<worksheet xmlns="{S}"><sheetData>{rows}</sheetData></worksheet>'
    return zipped(parts)


def odt(body: str, parts: Mapping[str, bytes | str] | None = None) -> bytes:
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:document-content {ODF}><office:body><office:text>{body}</office:text>"
            "</office:body></office:document-content>",
            "META-INF/manifest.xml": "<manifest/>",
            **(parts or {}),
        }
    )


def epub(pages: Mapping[str, str], parts: Mapping[str, bytes | str] | None = None) -> bytes:
    """Pages by file name, in the order of the book."""
    items = "".join(
        f'<item id="i{at}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
        for at, name in enumerate(pages)
    )
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(len(pages)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>Boken om vanor</dc:title></metadata><manifest>"
        '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        f'{items}</manifest><spine><itemref idref="nav"/>{spine}</spine></package>'
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": package,
            "OEBPS/nav.xhtml": "<html><body><nav>Contents</nav></body></html>",
            **{f"OEBPS/{name}": page for name, page in pages.items()},
            **(parts or {}),
        }
    )


def scanned_pdf(pictures: Sequence[tuple[int, int, bytes]]) -> bytes:
    """A PDF of pictures (width, height, one grey byte a pixel), each filling a page of A4."""
    import zlib

    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for width, height, grey in pictures:
        data = zlib.compress(grey)
        objects.append(
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 "
            b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (width, height, len(data), data)
        )
        draw = b"q 595 0 0 842 0 0 cm /I Do Q"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(draw), draw))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /XObject << /I %d 0 R >> >> >>" % (len(objects), len(objects) - 1)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    return _assemble(objects, b"")
