"""What `asr check` finds in small corpora, each fault made on purpose."""

import json
from collections import Counter

import pandas as pd
import pytest
import soundfile

from asr.commands.check import cli, examination, settings
from asr.commands.check.examination import _test as foretell
from asr.commands.check.reading import read
from asr.commands.check.transcripts import by_script, examine
from tests.corpora import release, spontaneous, tone, tsv, unpack, write_archive
from tests.recipes import REPOSITORY, Recipe, corpus

HEADER = ("file", "text", "speaker", "split")
ROWS = [
    ("a.wav", "бир", "s1", "train"),
    ("copy.wav", "эки", "s2", "test"),  # the bytes of a.wav
    ("b.flac", "Бир!", "s3", "test"),  # a.wav's sentence
    ("c.flac", "үч", "s3", "train"),  # a speaker of test
    ("long.flac", "төрт", "s4", "train"),
    ("sub/gone.wav", "беш", "s5", "train"),
    ("text.wav", "алты", "s5", "train"),  # no audio
    ("d.flac", "жети", "s6", "train"),
    ("e.flac", "[noise]", "s7", "train"),
    ("film.mp4", "сегиз", "s8", "validation"),
]


def check(capsys, *args: str) -> str:
    cli.main([*args])
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import av

    folder = tmp_path_factory.mktemp("mine") / "mine"
    same = tone(hz=300, format="WAV", rate=8_000)
    sounds = {"a.wav": same, "copy.wav": same, "unlisted.mp3": tone(format="MP3"), "text.wav": b"no audio"}
    sounds |= {f"{name}.flac": tone(hz=ord(name) * 3) for name in "bcde"} | {"long.flac": tone(30.2)}
    unpack(folder, [("clips.tsv", tsv(*ROWS, header=HEADER)), *sounds.items()])
    samples, _ = soundfile.read(folder / "b.flac", dtype="float32")
    with av.open(str(folder / "film.mp4"), "w") as film:
        track = film.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate = 16_000
        film.mux([*track.encode(frame), *track.encode(None)])
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return examination.of_path(folder, None)


def test_sizes_by_split(found):
    assert found["all"]["test"] == {"clips": 2, "hours": 0.0001, "speakers": 2, "sentences": 2}
    assert found["all"]["all"]["clips"] == 10 and found["corpora"]["mine"] == found["all"]


def test_files_that_are_missing_broken_unlisted_or_there_twice(found, folder):
    missing = found["problems"]["no_audio"]
    assert missing["some"] == ["mine/sub/gone.wav"] and missing["tried"] == f"{folder}/sub/gone.wav"
    assert found["problems"]["undecodable"]["some"] == ["mine/text.wav"]
    assert found["without_row"] == {"mine": {"recordings": 1, "some": ["unlisted.mp3"]}}
    same = found["same_audio"]
    assert same["some"] == [["mine/a.wav", "mine/copy.wav"]]
    assert (same["recordings"], same["in_test_and_elsewhere"], same["with_several_texts"]) == (1, 1, 1)


def test_what_training_will_lack_and_the_window(found):
    assert found["leaks"] == {"speakers": 1, "sentences": 1}
    assert found["dropped"] == {
        "no_audio": 1, "undecodable": 1, "too_long": 1, "empty_sentence": 1, "speaker_in_test": 1,
        "sentence_in_test": 1,
    }  # fmt: skip
    assert next(iter(found["window"]["longest"].items())) == ("mine/long.flac", 30.2)
    rates = found["characters_per_s"]
    assert min(rates["highest"].values()) >= rates["median"] > 0
    assert list(rates["highest"].values()) == sorted(rates["highest"].values(), reverse=True)
    assert found["window"]["fits_all_s"] == 30 and found["window"]["audio_window_s"] == 30


def test_durations_of_headers_are_those_of_the_samples(found, folder, caplog):
    with caplog.at_level("INFO", "asr"):
        rows, log = read({"mine": settings.of_path(folder / "clips.tsv", None)})  # the folder by its table
    seconds = rows.set_index("name").duration_s
    assert seconds["a.wav"] == 0.2 and seconds["film.mp4"] == pytest.approx(0.2, abs=0.07)
    assert "audio is 'file'" in log[0]
    kinds = {kind["format"]: (kind["rate"], kind["clips"], kind["resampled"]) for kind in found["sound"]}
    assert kinds["WAV"] == (8_000, 2, True) and kinds["FLAC"] == (16_000, 5, False)
    assert kinds["MOV/MP4/M4A"] == (16_000, 1, False)


def test_text_markdown_and_json_say_the_same(capsys, folder, found):
    assert json.loads(check(capsys, str(folder), "--json")) | {"log": []} == found | {"log": []}
    texts = check(capsys, str(folder)), check(capsys, str(folder), "--md")
    for text in texts:
        for fact in (
            "mine/long.flac 30.2 s",
            f"Characters a second: {found['characters_per_s']['median']} in the middle",
            next("{} {:.1f}".format(*clip) for clip in found["characters_per_s"]["highest"].items()),
            "unlisted.mp3",
            "gone.wav",
            "8,000 Hz",
            "[noise]",
            "points to either",
        ):
            assert fact in text
    assert "| test " in texts[1].replace("| mine     ", "") and "## Look at" in texts[1]


def test_a_recipe_has_all_its_corpora(tmp_path, capsys, folder):
    write_archive(tmp_path / "cv.tar.gz", release())
    recipe = Recipe(tmp_path, {})
    recipe.set({"corpora": {
        "cv": corpus("archive", path="../cv.tar.gz", use="train"),
        "own": corpus("folder", path=str(folder), use="test"),
    }})  # fmt: skip
    found = json.loads(check(capsys, str(recipe.folder), "--json"))
    assert {name: sizes["all"]["clips"] for name, sizes in found["corpora"].items()} == {"cv": 4, "own": 2}
    assert found["window"]["audio_window_s"] == recipe.params["model"]["audio_window_s"]
    assert found["test"]["corpora"]["cv"] is None and found["test"]["all"]["clips"] == 2
    assert found["without_row"]["cv"]["some"] == ["e.mp3", "f.mp3"]
    with pytest.raises(SystemExit):
        cli.main([str(recipe.folder), "--locale", "dv"])
    recipe.set({"corpora": {"own": corpus("folder", path="absent")}})
    with pytest.raises(FileNotFoundError, match="corpora.own.path"):
        cli.main([str(recipe.folder)])


def test_a_release_is_recognised_packed_or_not_and_has_its_locale(tmp_path):
    one = write_archive(tmp_path / "one.tar.gz", release("ckb"))
    assert settings.of_path(one, None).locale == "ckb"
    assert settings.of_path(unpack(tmp_path / "a", release("ckb")), None).source == "archive"
    dv = settings.of_path(tmp_path / "a/cv-corpus-1.0/ckb", None)
    assert (dv.source, dv.locale) == ("archive", "ckb")
    assert (
        settings.of_path(
            write_archive(tmp_path / "s.zip", spontaneous([("s", "1.mp3", "x", "")])), None
        ).locale
        == "it"
    )
    two = write_archive(tmp_path / "two.tar", [*release("dv"), *release("ckb", "other")])
    with pytest.raises(ValueError, match="ckb, dv.*--locale"):
        settings.of_path(two, None)
    assert settings.of_path(two, "dv").locale == "dv"
    own = unpack(tmp_path / "b", [("train.tsv", tsv(*ROWS, header=HEADER)), ("clips/a.wav", b"")])
    assert settings.of_path(own, None).source == "folder"


def test_a_recording_of_which_parts_are_clips_has_its_rows(tmp_path):
    cues = b"1\n00:00:00,100 --> 00:00:00,300\nbir\n\n2\n00:00:00,400 --> 00:00:00,900\neki\n"
    unpack(tmp_path, [("a.srt", cues), ("a.flac", tone(1.0)), ("b.flac", tone())])
    found = examination.of_path(tmp_path, None)
    assert [*found["window"]["longest"].values()] == [0.5, 0.2]
    assert found["without_row"][tmp_path.name]["some"] == ["b.flac"]


def test_what_cannot_be_read_ends_with_an_error(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        cli.main([str(tmp_path / "absent")])
    with pytest.raises(ValueError, match="has to be a whole .tar"):
        cli.main([str(folder / "a.wav")])


@pytest.mark.parametrize(
    ("texts", "kind", "examples"),
    [
        (["ab\u202ec", "d"], "control characters", {"U+202E RIGHT-TO-LEFT OVERRIDE": 1}),
        (["a\u00adb"], "characters that cannot be seen", {"U+00AD SOFT HYPHEN": 1}),
        (["a\ufffd b"], "characters that Unicode does not know", {"U+FFFD REPLACEMENT CHARACTER": 1}),
        (["cafÃ©"], "UTF-8 that was read as Windows-1252", {"cafÃ©": 1}),
        (["саха тыла", "сaха"], "words of two scripts", {"сaха": 1}),  # a Latin a
        (["саха тыла", "ok саха"], "words of another script", {"ok": 1}),
        (
            ["cafe\u0301", "né"],
            "words that are not composed (NFC), beside others that are",
            {"cafe\u0301": 1},
        ),
        (["ދިވެހި ބަސް", "می\u200cخواهم", "日本語のテキスト", "[noise] саха"], None, None),
        (["cafe\u0301"], None, None),
    ],
)
def test_odd_characters(texts, kind, examples):
    for sentences in [texts] if kind else [[text] for text in texts]:
        odd = examine(pd.Series(sentences, [f"c{i}" for i in range(len(sentences))]))["odd"]
        assert {name: of["examples"] for name, of in odd.items()} == ({kind: examples} if kind else {})


def test_letters_digits_and_tags_are_counted():
    found = examine(pd.Series(["ab 12, <unk>", "a ٣"], ["x", "y"]))
    assert found["scripts"] == {"Latn": {"a": 2, "b": 1}} and found["others"] == {",": 1}
    assert found["digits"] == {"clips": 2, "some": ["x", "y"], "characters": {"1": 1, "2": 1, "٣": 1}}
    assert found["tags"] == {"<unk>": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ދަން CD", "Thaa"), ("саха abc тыла", "Cyrl"), ("中文", "Hani"), ("3 …", None)],
)
def test_the_script_of_most_letters_is_first(text, expected):
    assert next(iter(by_script(Counter(text))), None) == expected


def test_the_interval_is_foretold_as_it_was_measured(monkeypatch):
    """The sample's, by its committed results."""
    table = pd.read_csv(REPOSITORY / "sample/metrics/utterances.csv", keep_default_na=False)
    rates = json.loads((REPOSITORY / "sample/metrics/evaluate.json").read_text())["finetuned"]
    monkeypatch.setattr(examination, "WER", rates["wer"] / 100)
    rows = pd.DataFrame(
        {"id": table.id, "speaker": table.speaker, "key": table.reference, "split": "test", "problem": ""}
    )
    measured = (rates["wer_ci95_high"] - rates["wer_ci95_low"]) / 2
    assert foretell(rows)["points"] == pytest.approx(measured, abs=1.0)


def test_more_words_of_the_same_speakers_help_less_than_more_speakers():
    def points(speakers: int, clips: int) -> float:
        keys = [(f"s{i}", f"{i}-{j}") for i in range(speakers) for j in range(clips)]
        rows = pd.DataFrame(keys, columns=["speaker", "id"]).assign(
            key="one two three", split="test", problem=""
        )
        return foretell(rows)["points"]

    assert points(40, 10) < points(10, 40) < points(10, 10)
    assert points(1000, 10) < examination.ENOUGH


def test_a_corpus_too_small_to_divide_is_a_finding(tmp_path, capsys):
    rows = [("a.wav", "x", "s1", "test"), ("b.wav", "y", "s1", "train")]
    unpack(tmp_path, [("t.tsv", tsv(*rows, header=HEADER)), ("a.wav", tone(format="WAV")), ("b.wav", b"")])
    text = check(capsys, str(tmp_path))
    assert (
        "`filter` would end: no train rows are left" in text and "Fewer than two speakers are known" in text
    )
