import pytest

from asr.sources.lines import read_lines
from asr.sources.metadata import clean_name, read_release_table
from asr.sources.user_table import read_table


def table(data, name, audio=None, sentence=None, size=3):
    """Read a table that comes in small pieces."""
    pieces = [data[first : first + size] for first in range(0, len(data), size)]
    columns = {"audio": audio, "sentence": sentence, "speaker": None, "split": None}
    return list(read_table(lambda: pieces, name, columns))


def release_table(data):
    return list(read_release_table([data], "train.tsv", ["b"], "set it"))


@pytest.mark.parametrize(
    "data, rows",
    [
        (b"a\tb\nx\ty\n", [("x", "y")]),
        (b"\xef\xbb\xbfa\tb\r\nx\ty\r\n", [("x", "y")]),
        ("a\tb\r\nx\ty\r\n".encode("utf-16"), [("x", "y")]),
        ('a\tb\n"ބާރަ\t"null" NA"\n'.encode(), [('"ބާރަ', '"null" NA"')]),
        (b"a\tb\nx\n", [("x", "")]),
        ("a\tb\nx\u2028y\x0bz\t\n".encode(), [("x\u2028y\x0bz", "")]),
        (b"a\tb\n", []),
    ],
)
def test_tsv(data, rows):
    assert [tuple(row.values()) for row in table(data, "t.tsv", "a", "b")] == rows


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
    assert [row["sentence"] for row in table(data, "t.tsv", "a", "b")] == sentences


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("mark", ",;\t|")
def test_delimiters_are_recognised_and_quotes_known(mark, name):
    data = 'file,"text"\na.wav,"އެއް, ދޭއް; |"\nb.wav,"say ""hi"""\n'.replace("file,", f"file{mark}")
    data = data.replace("wav,", f"wav{mark}").encode()
    assert table(data, name) == [
        {"audio": "a.wav", "sentence": "އެއް, ދޭއް; |"}, {"audio": "b.wav", "sentence": 'say "hi"'}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "header, columns",
    [
        ("path\tsentence", {}),
        (" File Name\tx\tTRANSCRIPT", {}),
        ("x\taudio_filepath\tText\tClient ID\tsubset", {"speaker": "3", "split": "4"}),
        ("sentence\twav\tspeakerId", {"speaker": "2"}),
        ("text\tsentence\tfile\tpath\tsplit\tsubset", {"audio": "3", "sentence": "1", "split": "4"}),
    ],
)
def test_columns_are_found_by_their_usual_names(header, columns, caplog):
    caplog.set_level("INFO")
    cells = header.split("\t")
    rows = table(f"{header}\n{chr(9).join(map(str, range(len(cells))))}\n".encode(), "t.tsv")
    plain = [cell.strip().casefold().replace("_", "").replace(" ", "") for cell in cells]
    audio, sentence = (
        next(str(plain.index(name)) for name in names if name in plain)
        for names in (("path", "filename", "audiofilepath", "wav"), ("sentence", "text", "transcript"))
    )
    assert rows == [{"audio": audio, "sentence": sentence} | columns]
    assert f"columns audio is {cells[int(audio)].strip()!r}" in caplog.text


def test_a_named_column_is_that_one_and_another_case_is_no_other():
    data = b"Path,old path,TEXT,text 2\na.wav,b.wav,x,y\n"
    assert table(data, "t.csv", "OLD_PATH", "Text") == [{"audio": "b.wav", "sentence": "x"}]


def test_a_windows_table_is_read_and_that_is_said_once(caplog):
    data = "path;text\na.wav;ok\nb.wav;déjà vu\nc.wav;œuf – 5 €\n".encode("cp1252")
    assert [row["sentence"] for row in table(data, "t.csv")] == ["ok", "déjà vu", "œuf – 5 €"]
    said = "t.csv, line 3 is not UTF-8, so it is read as Windows-1252: 'b.wav;déjà vu'"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [said]
    for name in ("t.tsv", "t.jsonl"):
        caplog.clear()
        lines = "path\ttext\na.wav\tdéjà\n" if name == "t.tsv" else '{"path": "a.wav", "text": "déjà"}\n'
        assert table(lines.encode("cp1252"), name) == [{"audio": "a.wav", "sentence": "déjà"}]
        assert [record.levelname for record in caplog.records].count("WARNING") == 1
    with pytest.raises(ValueError, match="line 1: not UTF-8"):
        release_table(lines.encode("cp1252"))


def test_what_spreadsheets_leave_is_passed_over():
    data = b",,,,\n path ,text,,,\na.wav,x,,,\n,,,,\n ,,,,,,\nb.wav,y,,,,,\n"
    assert [tuple(row.values()) for row in table(data, "t.csv")] == [("a.wav", "x"), ("b.wav", "y")]


def test_of_an_object_only_what_is_used_has_to_be_text():
    data = b'{"audio_filepath": "a.wav", "duration": 1.5, "tags": ["x"]}\n{"text": 7, "speaker": null}\n'
    assert table(data, "t.jsonl") == [
        {"audio": "a.wav", "sentence": "", "speaker": ""}, {"audio": "", "sentence": "7", "speaker": ""}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data, name, message",
    [
        (b"a\tb\nx\ty\nx\ty\tz\n", "t.tsv", "t.tsv, line 3: 3 fields, but the header has 2"),
        ("a\tb\nx\té\n".encode() + b"x\t\xff\n", "t.tsv", "t.tsv, line 3: not UTF-8"),
        (b"a\tb\nx\t\xff\n" + "x\té\n".encode(), "t.tsv", "t.tsv, line 3: not CP1252"),
        (b"a\tb\nx\t\x81\n", "t.tsv", "t.tsv, line 2: not UTF-8"),
        (b"", "t.tsv", "t.tsv is empty"),
        (b"\n\n", "t.jsonl", "t.jsonl is empty"),
        (b"a\rb,c\nx,y\n", "t.csv", "t.csv, line 1: new-line character"),
        (b'a,b\nx,"open\n', "t.csv", "t.csv, line 3: unexpected end"),
        (b"path\tsentence\n", "t.tsv", "no column 'a' among path, sentence: Set .*columns.audio; null finds"),
        (b"aa,b\n", "t.csv", "no column 'a' among aa, b: did you mean 'aa'\\? Set"),
        (b'{"path": "x"}\n', "t.jsonl", "no column 'a' among path"),
        (b"a,b,a\n", "t.csv", "more than one column for audio, 'a', 'a'"),
        (b"A,b,A_\n", "t.csv", "more than one column for audio, 'A', 'A_'"),
        (b'{"a": [1], "b": ""}\n', "t.jsonl", "line 1: expected an object of texts"),
        (b'{"a": "x", "b": "\\ud800"}\n', "t.jsonl", "line 1: expected an object of texts"),
        (b"[" * 100_000, "t.jsonl", "line 1: expected an object of texts"),
    ],
)
def test_ill_formed_tables_name_the_line(data, name, message):
    with pytest.raises(ValueError, match=message):
        table(data, name, "a", "b", 10_000)


def test_a_table_without_a_usual_name_says_which_they_are():
    with pytest.raises(ValueError, match="no column for sentence among path, words: set .*columns.sentence"):
        table(b"path,words\n", "t.csv")
    with pytest.raises(ValueError, match="If the first line does not name the columns, add one"):
        table("LJ001-0001|Printing, in the only sense|…\n".encode(), "t.csv")


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

    columns = {"audio": "a", "sentence": "b"}
    for rows in (read_table(pieces, name, columns), *([of_a_release()] if name == "t.tsv" else [])):
        assert list(next(rows).values()) == ["x", "y"] and taken < 3
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
