import pytest

from asr.sources.lines import read_lines
from asr.sources.metadata import clean_name, read_release_table, read_table


def table(data, name, required=(), size=3):
    """Read a table that comes in small pieces."""
    pieces = [data[first : first + size] for first in range(0, len(data), size)]
    return list(read_table(lambda: pieces, name, list(required), "set it"))


def release_table(data):
    return list(read_release_table([data], "train.tsv", ["b"], "set it"))


@pytest.mark.parametrize(
    "data, rows",
    [
        (b"a\tb\nx\ty\n", [{"a": "x", "b": "y"}]),
        (b"\xef\xbb\xbfa\tb\r\nx\ty\r\n", [{"a": "x", "b": "y"}]),
        ("a\tb\r\nx\ty\r\n".encode("utf-16"), [{"a": "x", "b": "y"}]),
        ('a\tb\n"ބާރަ\t"null" NA"\n'.encode(), [{"a": '"ބާރަ', "b": '"null" NA"'}]),
        (b"a\tb\nx\n", [{"a": "x", "b": ""}]),
        ("a\tb\nx\u2028y\x0bz\t\n".encode(), [{"a": "x\u2028y\x0bz", "b": ""}]),
        (b"a\tb\n", []),
    ],
)
def test_tsv(data, rows):
    assert table(data, "t.tsv") == rows


@pytest.mark.parametrize(
    "data, sentences",
    [
        (b'a\tb\nx\t"disse ""ciao"""\ny\t"one\n\ttwo"\nz\tplain\n', ['disse "ciao"', "one\n\ttwo", "plain"]),
        (b'"a"\t"b"\n"x"\t"ciao"\n', ["ciao"]),
        (b'a\tb\nx\t"ciao"\n', ['"ciao"']),  # nothing says that the marks are not the sentence's
        (b'a\tb\nx\t"disse ""ciao"""\ny\tan 8" disc\n', ['"disse ""ciao"""', 'an 8" disc']),
        (b'a\tb\nx\t"disse ""ciao"""\ny\t"open\n', ['"disse ""ciao"""', '"open']),
    ],
)
def test_marks_in_a_tsv_are_quotes_if_all_of_the_table_says_so(data, sentences):
    assert [row["b"] for row in table(data, "t.tsv")] == sentences


@pytest.mark.parametrize("mark", ",;\t|")
def test_csv_knows_quotes_and_delimiters(mark):
    data = 'file,text\na.wav,"އެއް, ދޭއް; |"\nb.wav,"say ""hi"""\n'.replace("file,", f"file{mark}")
    data = data.replace("wav,", f"wav{mark}").encode()
    assert table(data, "t.csv", ["file", "text"]) == [
        {"file": "a.wav", "text": "އެއް, ދޭއް; |"}, {"file": "b.wav", "text": 'say "hi"'}
    ]  # fmt: skip


def test_what_spreadsheets_leave_is_passed_over():
    data = b",,,,\n path ,text,,,\na.wav,x,,,\n,,,,\n ,,,,,,\nb.wav,y,,,,,\n"
    assert [(row["path"], row["text"]) for row in table(data, "t.csv", ["path", "text"])] == [
        ("a.wav", "x"), ("b.wav", "y")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data, name, message",
    [
        (b"a\tb\nx\ty\nx\ty\tz\n", "t.tsv", "t.tsv, line 3: 3 fields, but the header has 2"),
        (b"a\tb\nx\t\xff\n", "t.tsv", "t.tsv, line 2: not UTF-8"),
        (b"", "t.tsv", "t.tsv is empty"),
        (b"\n\n", "t.jsonl", "t.jsonl is empty"),
        (b"a\rb,c\nx,y\n", "t.csv", "t.csv, line 1: new-line character"),
        (b'a,b\nx,"open\n', "t.csv", "t.csv, line 3: unexpected end"),
        (b"path\tsentence\n", "t.tsv", "no column a among path, sentence: set it"),
        (b'{"path": "x"}\n', "t.jsonl", "no column a among path: set it"),
        (b"a,b,a\n", "t.csv", "more than one column 'a'"),
        (b'{"a": [1]}\n', "t.jsonl", "line 1: expected an object of texts"),
        (b"[" * 100_000, "t.jsonl", "line 1: expected an object of texts"),
    ],
)
def test_ill_formed_tables_name_the_line(data, name, message):
    with pytest.raises(ValueError, match=message):
        table(data, name, ["a"], 10_000)


def test_a_row_of_common_voice_that_a_line_feed_has_broken_is_joined(caplog):
    whole = b"a\tb\tc\td\n1\tx\ty\tz\n"
    broken = b"2\tone\n\ntwo\tthree\nfour\t!\n"  # two texts of a row
    lost = b"3\tshort\n4\tx\ty\tz\n5\tx\ty\tz\t!\n6\tshort\n"
    assert [list(row.values()) for row in release_table(whole + broken + lost)] == [
        ["1", "x", "y", "z"], ["2", "one two", "three four", "!"], ["4", "x", "y", "z"]
    ]  # fmt: skip
    assert "1 rows that a line feed had broken are joined (lines 3)" in caplog.text
    assert "3 are left out (lines 7, 9, 10)" in caplog.text


@pytest.mark.parametrize(
    "name, first, line",
    [
        ("t.tsv", b"a\tb\n", b"x\ty\n"),
        ("t.csv", b"a,b\n", b"x,y\n"),
        ("t.jsonl", b"", b'{"a": "x", "b": "y"}\n'),
    ],
)
def test_a_table_is_read_row_by_row(name, first, line):
    taken = 0

    def pieces():
        nonlocal taken
        for taken in range(100):
            yield first + line if taken == 0 else line

    def of_a_release():
        return read_release_table(pieces(), name, ["a"], "")

    for rows in (read_table(pieces, name, ["a"], ""), *([of_a_release()] if name == "t.tsv" else [])):
        assert next(rows) == {"a": "x", "b": "y"} and taken < 3
        assert len(list(rows)) == 99


def test_lines_are_numbered_and_cut_whatever_the_pieces():
    assert list(read_lines([b"", b"a\r", b"\nb", b"", b"\n\nc"], "t")) == ["a", "b", "", "c"]
    assert list(read_lines([b"a\rb"], "t")) == ["a", "b"]
    with pytest.raises(ValueError, match="t, line 2: over 1048576 bytes"):
        list(read_lines([b"a\n", b"x" * 2**20, b"x"], "t"))


@pytest.mark.parametrize(
    "name, clean",
    [("./0.wav", "0.wav"), ("a\\b\\0.wav", "a/b/0.wav"), ("a/../0.wav", "0.wav"), ("e\u0301", "é"), ("", "")],
)
def test_one_file_has_one_name(name, clean):
    assert clean_name(name) == clean
