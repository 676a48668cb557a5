import unicodedata

import pytest

from asr.sources import folder
from tests.corpora import tone, tsv
from tests.recipes import checked_corpus
from tests.test_workbook import ods, xlsx

HEADER = ("path", "sentence", "speaker", "split")


def write(root, rows, files=None, table="metadata.tsv"):
    root.mkdir(exist_ok=True)
    data = tsv(*rows, header=HEADER[: len(rows[0])])
    (root / table).write_bytes(data.replace(b"\t", b",") if table.lower().endswith(".csv") else data)
    for index, name in enumerate([row[0] for row in rows] if files is None else files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(tone(hz=200 + index))
    return root


def read(root, split="split", speaker="speaker", table="metadata.tsv", fraction=0.1, use="both"):
    columns = {"audio": "path", "sentence": "sentence", "speaker": speaker, "split": split}
    columns |= dict.fromkeys(("start", "end", "duration"))
    params = {"path": str(root), "table": table, "columns": columns, "test_fraction": fraction}
    return list(folder.clips(checked_corpus("folder", use=use, **params)))


@pytest.mark.parametrize("table", ["metadata.tsv", "metadata.csv", "TABLE.CSV"])
def test_rows_come_with_their_files(tmp_path, table):
    rows = [("a.flac", "އެކެއް", "s1", "train"), ("b/c.flac", "ދޭއް", "s2", "dev"), ("d.flac", "x", "", "test")]
    clips = read(write(tmp_path / "own", rows, table=table), table=table)
    expected = [row if row[3] != "dev" else (*row[:3], "validation") for row in rows]
    assert [(clip.id, clip.sentence, clip.speaker, clip.split) for clip in clips] == expected
    assert [clip.audio for clip in clips] == [tone(hz=200), tone(hz=201), tone(hz=202)]


@pytest.mark.parametrize("name", ["އަޑު ފައިލް.flac", "Überfahrt.flac", "한국어/음성.flac", "a;b $(c).flac"])
@pytest.mark.parametrize("on_disk, in_table", [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_names_in_any_script_and_either_composition(tmp_path, name, on_disk, in_table):
    table_name, file_name = unicodedata.normalize(in_table, name), unicodedata.normalize(on_disk, name)
    rows = [(table_name, "x", "s1", "train"), ("2.flac", "y", "s2", "test")]
    clip = read(write(tmp_path / "own", rows, files=[file_name, "2.flac"]))[0]
    assert (clip.id, clip.audio) == (unicodedata.normalize("NFC", name), tone(hz=200))


@pytest.mark.parametrize(
    "name", ["../outside.flac", "{root}/outside.flac", "link.flac", "sub/../../outside.flac"]
)
def test_a_path_that_leaves_the_folder_is_not_read(tmp_path, name):
    (tmp_path / "outside.flac").write_bytes(tone())
    rows = [("a.flac", "x", "s1", "train"), (name.format(root=tmp_path), "y", "s2", "test")]
    root = write(tmp_path / "own", rows, files=["a.flac"])
    (root / "link.flac").symlink_to(tmp_path / "outside.flac")
    clips = read(root)
    assert [(clip.problem, clip.audio) for clip in clips] == [("", tone(hz=200)), ("outside_folder", b"")]


@pytest.mark.parametrize(
    "name", ["./b/0.flac", "b\\0.flac", "b/../b/0.flac", "B/0.FLAC", "{root}/b/0.flac", "link.flac"]
)
def test_one_recording_has_one_id_however_its_row_names_it(tmp_path, name):
    name = name.format(root=tmp_path / "own")
    rows = [(name, "x", "s1", "train"), ("2.flac", "y", "s2", "test")]
    root = write(tmp_path / "own", rows, files=["b/0.flac", "2.flac"])
    (root / "link.flac").symlink_to(root / "b/0.flac")
    assert [(clip.id, clip.audio) for clip in read(root)][0] == ("b/0.flac", tone(hz=200))
    write(root, [*rows, ("b/0.flac", "x", "s1", "train")], files=[])
    assert [clip.id for clip in read(root)] == ["b/0.flac", "2.flac"]  # it says the same again
    write(root, [*rows, ("b/0.flac", "x", "s1", "test")], files=[])
    with pytest.raises(ValueError, match="row 3: 'b/0.flac' is in an earlier row too, and they differ"):
        read(root)


def test_a_name_in_another_case_has_to_be_that_of_one_file(tmp_path):
    rows = [("A.flac", "x", "s1", "train"), ("2.flac", "y", "s2", "test")]
    clip, _ = read(write(tmp_path / "own", rows, files=["a.flac", "a.FLAC", "2.flac"]))
    assert (clip.id, clip.problem, clip.audio) == ("A.flac", "no_audio", b"")


def test_rows_without_a_file_s_name_are_told_apart(tmp_path):
    rows = [("", "x", "s1", "train"), ("", "y", "s1", "train"), ("2.flac", "y", "s2", "test")]
    clips = read(write(tmp_path / "own", rows, files=["2.flac"]))
    assert [(clip.id, clip.problem) for clip in clips] == [
        ("row 1", "no_audio"), ("row 2", "no_audio"), ("2.flac", "")
    ]  # fmt: skip


def test_a_missing_file_comes_without_audio(tmp_path, caplog):
    rows = [("a.flac", "x", "s1", "train"), ("b.flac", "y", "s2", "test")]
    clips = read(write(tmp_path / "own", rows, files=["a.flac"]))
    assert [(clip.audio, clip.problem) for clip in clips] == [(tone(hz=200), ""), (b"", "no_audio")]
    assert "1 of 2 listed files cannot be read" in caplog.text


def test_no_file_at_all_is_an_error(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none of the 1 files that are named is in .* \(tried 'a.flac'\)"
    ):
        read(write(tmp_path / "own", [("a.flac", "x", "s1", "train")], files=[]))


def test_validated_rows_come_as_such(tmp_path):
    rows = [("a.flac", "x", "s1", "validated"), ("b.flac", "y", "s2", "train"), ("c.flac", "z", "s3", "test")]
    clips = read(write(tmp_path / "own", rows))
    assert [clip.split for clip in clips] == ["validated", "train", "test"]


@pytest.mark.parametrize("use", ["train", "test"])
def test_without_splits_a_corpus_for_one_use_is_not_divided(tmp_path, use):
    root = write(tmp_path / "own", many(["s1", "s2"]))
    assert {clip.split for clip in read(root, split=None, use=use)} == {use}


def many(speakers):
    return [(f"{speaker}-{i}.flac", f"{speaker} {i}", speaker) for speaker in speakers for i in range(3)]


def test_without_a_split_column_speakers_are_held_out(tmp_path, caplog):
    caplog.set_level("INFO")
    root = write(tmp_path / "own", many([f"s{i}" for i in range(10)]))
    clips = read(root, split=None, fraction=0.2)
    test, train = ({clip.speaker for clip in clips if clip.split == split} for split in ("test", "train"))
    assert (len(test), len(train)) == (2, 8) and not test & train
    assert test == {"s7", "s8"}  # by hash: the same on every machine and in every process
    assert "2 of 10 speakers are test" in caplog.text


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_both_splits_get_a_speaker_and_unknown_ones_stay_in_train(tmp_path, fraction):
    rows = [*many(["s1", "s2"]), ("u.flac", "u", "")]
    clips = read(write(tmp_path / "own", rows), split=None, fraction=fraction)
    assert len({clip.speaker for clip in clips if clip.split == "test"}) == 1
    assert clips[-1].split == "train"


@pytest.mark.parametrize("speaker", [("me",), ()])
def test_one_speaker_s_sentences_are_held_out(tmp_path, caplog, speaker):
    caplog.set_level("INFO")
    rows = [(f"{i}.flac", f"sentence {i // 2} {'  ' * (i % 2)}", *speaker) for i in range(20)]
    clips = read(write(tmp_path / "own", rows), split=None, speaker=None)
    test = {clip.sentence.strip() for clip in clips if clip.split == "test"}
    assert len(test) == 1 and not test & {clip.sentence.strip() for clip in clips if clip.split == "train"}
    assert "1 of 10 sentences are test" in caplog.text


def test_one_sentence_of_one_speaker_cannot_be_split(tmp_path):
    with pytest.raises(ValueError, match="nothing to hold out"):
        read(write(tmp_path / "own", [("a.flac", "x", "me"), ("b.flac", "x", "me")]), split=None)


def test_mistakes_in_the_table_are_located(tmp_path):
    root = write(tmp_path / "own", [("a.flac", "x", "s1", "train"), ("b.flac", "y", "s2", "Test")])
    with pytest.raises(ValueError, match="row 2: the split is 'Test'; it has to be one of train, validation"):
        read(root)
    with pytest.raises(ValueError, match="no column 'voice' among path, sentence, speaker, split: Set"):
        read(root, speaker="voice")
    with pytest.raises(FileNotFoundError, match="no table .*other.tsv.*make sample"):
        read(root, table="other.tsv")
    (root / "table.doc").write_bytes(b"PK")
    with pytest.raises(
        ValueError, match="'table.doc' has to be one of .tsv, .csv, .txt, .jsonl, .json, .xlsx"
    ):
        read(root, table="table.doc")


@pytest.mark.parametrize("name, write_as", [("clips.xlsx", xlsx), ("Clips.ODS", ods), ("t.csv", None)])
def test_the_only_table_and_its_columns_are_found(tmp_path, caplog, name, write_as):
    caplog.set_level("INFO")
    rows = [("a.flac", "އެކެއް", "s1", "train"), ("b.flac", "ދޭއް", "s2", "test")]
    root = write(tmp_path / "own", rows, table="t.csv")
    (root / "t.csv").rename(root / "t.old")
    header = ("File Name", "Text", "Client ID", "Subset")
    data = write_as([header, *rows]) if write_as else tsv(*rows, header=header).replace(b"\t", b";")
    (root / name).write_bytes(data)
    (root / f"~${name}").write_bytes(b"lock")
    clips = list(folder.clips(checked_corpus("folder", path=str(root))))
    assert [(clip.id, clip.sentence, clip.speaker, clip.split) for clip in clips] == rows
    taken = "audio is 'File Name', sentence is 'Text', speaker is 'Client ID', split is 'Subset'"
    assert f"{name}: of its columns {taken}" in caplog.text
    (root / "notes.tsv").write_bytes(b"")
    assert len(list(folder.clips(checked_corpus("folder", path=str(root))))) == 2
    assert "no table of clips, and left out: notes.tsv" in caplog.text
    (root / "more.tsv").write_bytes(b"file\ttext\n")
    with pytest.raises(ValueError, match="several tables .*more.tsv.*: set table to one"):
        list(folder.clips(checked_corpus("folder", path=str(root))))
