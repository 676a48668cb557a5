import pytest

from asr.sources.metadata import read_table, require_columns


@pytest.mark.parametrize(
    "data, rows",
    [
        (b"a\tb\nx\ty\n", [{"a": "x", "b": "y"}]),
        (b"\xef\xbb\xbfa\tb\r\nx\ty\r\n", [{"a": "x", "b": "y"}]),
        ('a\tb\n"ބާރަ\t"null" NA"\n'.encode(), [{"a": '"ބާރަ', "b": '"null" NA"'}]),
        (b"a\tb\nx\n", [{"a": "x", "b": ""}]),
        ("a\tb\nx\u2028y\x0bz\t\n".encode(), [{"a": "x\u2028y\x0bz", "b": ""}]),
        (b"a\tb\n", []),
    ],
)
def test_tsv(data, rows):
    assert read_table(data, "t.tsv") == rows


def test_csv_knows_quotes():
    data = 'file,text\na.wav,"އެއް, ދޭއް"\nb.wav,"say ""hi"""\n'.encode()
    assert read_table(data, "t.csv") == [
        {"file": "a.wav", "text": "އެއް, ދޭއް"}, {"file": "b.wav", "text": 'say "hi"'}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data, name, message",
    [
        (b"a\tb\nx\ty\nx\ty\tz\n", "t.tsv", "t.tsv, line 3: 3 fields, but the header has 2"),
        (b"a\tb\nx\t\xff\n", "t.tsv", "t.tsv, line 2: not UTF-8"),
        (b"", "t.tsv", "t.tsv is empty"),
        (b'a,b\nx,"open\n', "t.csv", "t.csv, line 2"),
    ],
)
def test_ill_formed_tables_name_the_line(data, name, message):
    with pytest.raises(ValueError, match=message):
        read_table(data, name)


def test_a_missing_column_is_named_beside_those_found():
    with pytest.raises(ValueError, match="no column speaker among path, sentence: set it"):
        require_columns([{"path": "", "sentence": ""}], ["path", "speaker"], "t.tsv", "set it")
