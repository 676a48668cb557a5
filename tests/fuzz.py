"""Mutated clips, tables and archives: nothing crashes, hangs, or loses a row without a reason.

    python -m tests.fuzz --cases 10000 --seed 1

A case is made from the seed and its number alone. Half of them are clips, which go through featurize as in
the pipeline, in its processes; the others are tables and archives, which go through their source.
"""

import argparse
import io
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from datasets import Dataset
from transformers import WhisperFeatureExtractor

from asr.commands.transcribe.subtitles import FORMATS, Segment
from asr.params import FolderColumns
from asr.runtime import workers
from asr.runtime.errors import _raised_by_us
from asr.runtime.workers import Died
from asr.sources import annotations, folder
from asr.sources.files import Files
from asr.sources.release import read_release
from asr.sources.user_table import read_table
from asr.tables.features import PROBLEMS
from stages.featurize import featurize
from tests.corpora import release, spontaneous, tone, tsv, write_archive
from tests.recipes import checked_corpus
from tests.test_ffmpeg import BROWSERS, made
from tests.test_source_annotations import eaf, textgrid
from tests.test_workbook import ods, xlsx

KINDS = {
    "wav": ("WAV", "PCM_16"), "u8": ("WAV", "PCM_U8"), "float": ("WAV", "FLOAT"), "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"),
}  # fmt: skip
EXTREMES = [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\x01\0\0\0"]
PIECES = [
    "\0", "\r", "\r\n", "\n", "\t", ",", '"', "'", "\\", "\\ud800", "\u2028", "\u202e", "\u2067", "\ufeff",
    "\x85", "=1+1", "<script>", "../", "/etc/passwd", "{", "}", "null", "NaN", "x" * 200_000, "e\u0301",
    "\U0001f600", " ",
]  # fmt: skip
TEXTS = (
    "t.tsv", "t.csv", "t.jsonl", "i.eaf", "j.eaf", "i.TextGrid", "i.vtt", "i.srt", "i.txt", "l.txt", "l.csv",
    "l.json", "k/text", "k/wav.scp", "k/segments",
)  # fmt: skip
CLIP_LIMIT_S, AT_ONCE = 20, 2000
N_MELS = 80


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Damage a file in one to three ways, half of the time near its beginning, where headers are."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        data, size = bytearray(data), len(data)
        at = rng.randrange(min(size, rng.choice([64, 512, size, size])) or 1) if size else 0
        match rng.randrange(8):
            case 0:
                for _ in range(rng.choice([1, 4, 64])):
                    if size:
                        data[rng.randrange(size)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at : at + 4] = rng.choice(EXTREMES)
            case 3:
                other = rng.choice(others)
                data = data[:at] + other[rng.randrange(len(other)) :]
            case 4:
                data[:at] = rng.choice(others)[:at]
            case 5:
                data[at:at] = rng.randbytes(rng.choice([1, 4, 4096]))
            case 6:
                data[at:at] = data[at : at + rng.choice([1, 100, 5000])]
            case 7:
                end = at + rng.choice([1, 16, 2000])
                data[at:end] = bytes(len(data[at:end]))
    return bytes(data)


def garble(text: str, rng: random.Random) -> str:
    """Damage a table as text that stays valid UTF-8: what its fields may hold."""
    for _ in range(rng.choice([1, 2, 5])):
        at = rng.randrange(len(text) or 1)
        lines = text.split("\n")
        line = rng.choice(lines)
        match rng.randrange(4):
            case 0 | 1:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 2:
                text = text.replace(line, rng.choice(["", line + "\n" + line, line[::-1], line + "\r"]), 1)
            case 3:
                text = text.replace(line, line[: len(line) // 2] + rng.choice(PIECES) * 3, 1)
    return text


def seeds() -> dict[str, bytes]:
    """Encode a second of noisy tone in every format; in stereo and 44.1 kHz where that differs."""
    rng = np.random.default_rng(0)
    files = {}
    for rate, channels in ((16_000, 1), (44_100, 2)):
        wave = np.sin(np.arange(rate)[:, None] / 20) * 0.3 + 0.05 * rng.standard_normal((rate, channels))
        for name, (format, subtype) in KINDS.items():
            file = io.BytesIO()
            hz = 48_000 if name == "opus" else rate
            soundfile.write(file, wave.astype(np.float32), hz, format=format, subtype=subtype)
            files[f"{name}-{channels}"] = file.getvalue()
    for kind in ("m4a", "3gp", "amr", "aac", "webm", "wma", "avi"):
        files[kind] = made(kind, 1)
    for kind, options in BROWSERS.items():
        files[f"{kind}-live"] = made(kind, 1, dict(options))
    return files


def fuzz_clips(first: int, n_cases: int, seed: int, mel_filters: np.ndarray) -> Counter:
    """Featurize mutated clips; count them by format and problem.

    Raises
    ------
    AssertionError: a row is lost, or has neither features nor a problem.
    """
    originals = seeds()
    names, raw = sorted(originals), []
    for number in range(first, first + n_cases):
        rng = random.Random(f"{seed} {number}")
        name = rng.choice(names)
        audio = mutate(originals[name], list(originals.values()), rng)
        raw.append({"id": f"{number} {name}", "audio": audio, "problem": "", "detail": ""})
    extractor = WhisperFeatureExtractor(feature_size=N_MELS)
    extractor.mel_filters = mel_filters
    found = Counter()
    for clip, row in zip(raw, featurize(Dataset.from_list(raw), extractor), strict=True):
        assert row["id"] == clip["id"]
        if row["problem"]:
            assert row["problem"] in PROBLEMS and len(row["features"]) == 0, row["id"]
        else:
            assert len(row["features"]) % N_MELS == 0 and len(row["features"]) > 0, row["id"]
            assert np.isfinite(row["features"]).all(), row["id"]
        found[clip["id"].split()[1], row["problem"] or "used"] += 1
        if row["problem"] == "decoder_died":
            print(f"{clip['id']}: {row['detail']}", file=sys.stderr)
    return found


def table_seeds() -> dict[str, bytes]:
    """Make a table or archive of each kind: its name is the file's."""
    rows = [(f"{i}.flac", f"އެއް {i}", f"s{i % 3}", ("train", "test")[i % 2]) for i in range(6)]
    header = ("path", "sentence", "speaker", "split")
    table = tsv(*rows, header=header)
    lines = "\n".join(json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
    files = {"t.tsv": table, "t.csv": table.replace(b"\t", b","), "t.jsonl": lines.encode()}
    files |= {"t.xlsx": xlsx([header, *rows]), "t.ods": ods([header, *rows])}
    texts = "".join(f"{name} {text}\n" for name, text, *_ in rows)
    files |= {"l.txt": texts.encode(), "k/text": texts.encode()}
    files["l.csv"] = texts.replace(".flac ", ".flac|").encode()
    files["l.json"] = lines.replace('"path"', '"audio_filepath"').encode()
    files["k/wav.scp"] = "".join(f"{name} /x/{name}\n" for name, *_ in rows).encode()
    files["k/segments"] = "".join(
        f"{name} {name} {i / 100} 0.1\n" for i, (name, *_) in enumerate(rows)
    ).encode()
    said = [Segment(i / 10, i / 10 + 0.08, f"އެއް {i} <b>") for i in range(4)]
    files |= {f"i.{kind}": FORMATS[kind]("i.flac", said).encode() for kind in ("eaf", "srt", "vtt")}
    files["i.TextGrid"] = FORMATS["textgrid"]("", said).encode()
    files["i.txt"] = "".join(f"{s.start_s}\t{s.end_s}\t{s.text}\n" for s in said).encode()
    explained = [("A", 'PARTICIPANT="P"', [("b", "1", "2", "x"), ("c", "2", "3", "y")])]
    explained.append(("B", 'PARENT_REF="A"', [("d", "b", "z"), ("e", "d", "u")]))
    files["j.eaf"] = eaf(*explained, media="i.flac", slots={"1": 0, "2": None, "3": 90})
    files["j.TextGrid"] = textgrid({"A": [(0, 0.1, 'x "y"'), (0.1, 0.2, "z")]}, short=True).encode("utf-16")
    spoken = [(speaker, name, f"{text} [noise]", split) for name, text, speaker, split in rows]
    with tempfile.TemporaryDirectory() as place:
        for name in ("a.tar", "a.tar.gz", "a.zip"):
            files[name] = write_archive(Path(place) / name, release()).read_bytes()
        files["s.tar"] = write_archive(Path(place) / "s.tar", spontaneous(spoken, "dv")).read_bytes()
    return files


def _start(seed: int, first: int) -> None:
    global _settings
    _settings = seed, first, table_seeds(), list(seeds().values())


def _table_case(row: int) -> tuple[str, str]:
    """Read a mutated table, annotation or archive; return its kind and what became of it."""
    seed, first, originals, sounds = _settings
    rng = random.Random(f"{seed} {first + row}")
    name = rng.choice(sorted(originals))
    if name in TEXTS and rng.random() < 0.7:
        data = garble(originals[name].decode(), rng).encode()
    else:
        data = mutate(originals[name], list(originals.values()), rng)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "corpus"
        root.mkdir()
        for recording in (*"012345", "i", "j"):
            (root / f"{recording}.flac").write_bytes(tone())
        if name[0] in "ij":
            (root / "i.flac").write_bytes(mutate(rng.choice(sounds), sounds, rng))
            data = rng.choice([data, originals[name]])
        for other in [other for other in originals if name[0] == "k" == other[0]]:
            (root / other).parent.mkdir(exist_ok=True)
            (root / other).write_bytes(originals[other])
        (root / name).write_bytes(data)
        before = sorted(Path(place).rglob("*"))
        try:
            if name[0] in "tijkl":
                table, columns = name if name[0] == "t" else None, dict.fromkeys(FolderColumns.model_fields)
                clips = list(folder.clips(checked_corpus("folder", path=str(root), table=table)))
            else:
                clips = list(read_release(root / name, checked_corpus("archive")))
        except (ValueError, OSError) as error:
            assert isinstance(error, OSError) or _raised_by_us(error), "the user would see a traceback"
            return name, type(error).__name__
        assert sorted(Path(place).rglob("*")) == before, "something was written"
        if name.startswith("t."):
            rows = read_table(lambda: [data], str(root / name), columns)
            assert {row["sentence"] for row in rows} == {clip.sentence for clip in clips}, "rows are lost"
        if name[0] in "ij":
            rows = annotations.read(root, Files(root).names(), None)
            assert {row["sentence"] for row in rows} == {clip.sentence for clip in clips}, "texts are lost"
        for clip in clips:
            assert clip.problem in ("", *PROBLEMS) and bool(clip.audio) <= (not clip.problem)
            clip.id.encode(), clip.sentence.encode()
        return name, "read"


def fuzz_tables(first: int, n_cases: int, seed: int) -> Counter:
    """Read mutated tables and archives; count them by kind and outcome."""
    found = Counter()
    for number, result in enumerate(workers.in_order(_table_case, n_cases, _start, (seed, first))):
        assert not isinstance(result, Died), f"case {first + number}: {result}"
        found[result] += 1
    assert found.total() == n_cases
    return found


def fuzz(n_cases: int, seed: int) -> tuple[Counter, Counter]:
    """Run half of the cases on clips and half on tables."""
    workers.LIMIT_S = CLIP_LIMIT_S
    mel_filters = WhisperFeatureExtractor(feature_size=N_MELS).mel_filters
    clips, tables = Counter(), Counter()
    half = n_cases // 2
    for first in range(0, half, AT_ONCE):
        clips += fuzz_clips(first, min(AT_ONCE, half - first), seed, mel_filters)
    tables += fuzz_tables(half, n_cases - half, seed)
    return clips, tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for found in fuzz(arguments.cases, arguments.seed):
        for (kind, outcome), count in sorted(found.items()):
            print(f"{kind:10} {outcome:16} {count:6}")
        print(f"{found.total()} cases, none lost")


if __name__ == "__main__":
    main()
