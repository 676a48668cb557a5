import io
import zipfile
from xml.sax.saxutils import escape

import pytest

from asr.sources.workbook import read_rows

ROWS = [["path", "Text ", ""], ["0.flac", "ދިވެހި <b> & x", "3.0"], ["", "", ""], ["1.flac", "two\nlines", ""]]
XLSX = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    'officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships">'
    + "".join(
        f'<Relationship Id="r{n}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        f'worksheet" Target="worksheets/{n}.xml"/>'
        for n in (0, 1)
    )
    + "</Relationships>",
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Notes" '
    'sheetId="1" r:id="r0"/><sheet name="Clips" sheetId="2" r:id="r1"/></sheets></workbook>',
}
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData>'
    "</worksheet>"
)
ODS = {
    "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
    "META-INF/manifest.xml": '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
}
ODS_CONTENT = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table='
    '"urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text'
    ':1.0"><office:body><office:spreadsheet><table:table table:name="Clips">{}</table:table>'
    "</office:spreadsheet></office:body></office:document-content>"
)


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def _xlsx_row(number, row):
    """Write a row of texts, numbers and gaps."""
    cells = []
    for column, text in zip("ABCDEFGH", row, strict=False):
        place = f'r="{column}{number}"'
        if text.replace(".", "").isdigit():
            cells.append(f"<c {place}><v>{text}</v></c>")
        elif text:
            cells.append(f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>')
    return f'<row r="{number}">{"".join(cells)}</row>'


def xlsx(rows, more="", notes=""):
    """Make a workbook whose first sheet has `notes`, and its second rows and `more`, as XML."""
    body = "".join(_xlsx_row(number, row) for number, row in enumerate(rows, start=1))
    sheets = {"xl/worksheets/0.xml": SHEET.format(notes), "xl/worksheets/1.xml": SHEET.format(body + more)}
    return zipped(XLSX | sheets)


def ods(rows):
    def cell(text):
        lines = "".join(f"<text:p>{escape(line)}</text:p>" for line in text.split("\n"))
        return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'

    body = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    return zipped(ODS | {"content.xml": ODS_CONTENT.format(body)})


def read(folder, name, data):
    (folder / name).write_bytes(data)
    return list(read_rows(folder / name))


@pytest.mark.parametrize("name, data", [("t.xlsx", xlsx(ROWS)), ("t.ods", ods(ROWS))])
def test_texts_numbers_and_gaps_are_read(tmp_path, name, data):
    rows = read(tmp_path, name, data)
    assert [number for number, _ in rows] == [1, 2, 3, 4]
    found = [[*row, "", ""][:3] for _, row in rows]
    assert found == [ROWS[0], [*ROWS[1][:2], "3" if name == "t.xlsx" else "3.0"], *ROWS[2:]]


def test_the_first_sheet_that_is_not_empty_is_read_and_others_are_said(tmp_path, caplog):
    notes = _xlsx_row(1, ["about"])
    assert read(tmp_path, "t.xlsx", xlsx(ROWS, notes=notes)) == [(1, ["about"])]
    assert "of its 2 sheets, 'Notes' is read" in caplog.text
    assert read(tmp_path, "t.xlsx", xlsx([])) == []


def test_a_stray_cell_at_the_end_of_the_sheet_ends_in_words(tmp_path):
    stray = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(ValueError, match="takes more than 4 GiB .*: save its sheet as CSV in UTF-8"):
        read(tmp_path, "t.xlsx", xlsx(ROWS, stray))


@pytest.mark.parametrize("data", [b"", b"PK", b"path,text\n", zipped({"a": "b"}), xlsx(ROWS)[:700]])
@pytest.mark.parametrize("name", ["t.xlsx", "t.ods", "t.xls"])
def test_what_is_no_workbook_is_refused(tmp_path, name, data):
    with pytest.raises(ValueError, match=r"t\.\w+ cannot be read \(.+\): save its sheet as CSV"):
        read(tmp_path, name, data)
