"""Small corpora for tests: audio made with numpy, releases made with tarfile."""

import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

HEADER = ("client_id", "path", "sentence", "up_votes", "age", "gender", "accents", "locale")


def tone(duration_s: float = 0.2, hz: float = 220.0, rate: int = 16_000, format: str = "FLAC") -> bytes:
    """Encode a sine tone."""
    times = np.arange(int(duration_s * rate)) / rate
    file = io.BytesIO()
    soundfile.write(file, (0.3 * np.sin(2 * np.pi * hz * times)).astype(np.float32), rate, format=format)
    return file.getvalue()


def tsv(*rows: tuple[str, ...], header: Sequence[str] = HEADER) -> bytes:
    """Write a table as Common Voice does; rows are filled up with empty fields."""
    filled = [(*row, *[""] * (len(header) - len(row))) for row in rows]
    return "".join("\t".join(fields) + "\n" for fields in (header, *filled)).encode()


def write_archive(path: Path, members: list[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    """Pack members in the given order: files as (name, bytes), anything else as a TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                name, data = member
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def release(locale: str = "dv", home: str = "cv-corpus-1.0") -> list[tuple[str, bytes]]:
    """List the members of a release, the clips before the tables: five clips, and f, only validated."""
    clips = [(f"{home}/{locale}/clips/{name}.mp3", tone(hz=200 + 50 * i)) for i, name in enumerate("abcdef")]
    tables = {
        "train": tsv(("s1", "a.mp3", "ބާރަ"), ("s1", "b.mp3", "null"), ("s2", "c.mp3", "އެއް")),
        "dev": tsv(("s3", "d.mp3", "ދޭއް")),
        "test": tsv(("s4", "e.mp3", "ތިނެއް", "2", "twenties", "female_feminine", "މާލެ", locale)),
        "validated": tsv(("s4", "e.mp3", "other"), ("s5", "f.mp3", "ހަތަރެއް"), ("s1", "a.mp3", "ބާރަ")),
    }
    return [*clips, *((f"{home}/{locale}/{name}.tsv", data) for name, data in tables.items())]


def release_of(tables: dict[str, list[tuple[str, str, str]]]) -> list[tuple[str, bytes]]:
    """List the members of a release with the given tables (speaker, clip, sentence) and a tone for each clip.

    A clip whose name begins with "long" lasts 3.5 s, others half a second or less.
    """
    home = "cv-corpus-1.0/dv"
    names = sorted({clip for rows in tables.values() for _, clip, _ in rows})
    clips = [
        (f"{home}/clips/{name}", tone(3.5 if name.startswith("long") else 0.2 + 0.01 * (i % 30), hz=200 + i))
        for i, name in enumerate(names)
    ]
    return [*clips, *((f"{home}/{table}.tsv", tsv(*rows)) for table, rows in tables.items())]


# The columns of Common Voice's releases: what came, went and was renamed.
GENERATIONS = {
    "2": "client_id path sentence up_votes down_votes age gender accent",
    "5.1": "client_id path sentence up_votes down_votes age gender accent locale segment",
    "8": "client_id path sentence up_votes down_votes age gender accents locale segment",
    "14": "client_id path sentence up_votes down_votes age gender accents variant locale segment",
    "17": "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant"
    " locale segment",
}
ROWS = [  # split, speaker, clip, sentence
    ("train", "s1", "a", "ބާރަ"),
    ("train", "s1", "b", '"null'),
    ("dev", "s2", "c", "NA"),
    ("test", "s3", "d", "x"),
]


def release_of_generation(version: str, home: str, suffix: str = ".mp3") -> list[tuple[str, bytes]]:
    """List the members of a small release as that version has them, tables in the midst of the clips.

    Parameters
    ----------
    home: the folder, with a slash at its end, or ""
    suffix: of the table's paths; releases of 2019 have none
    """
    columns = GENERATIONS[version].split()
    rows = {"train": [], "dev": [], "test": []}
    for split, speaker, clip, sentence in ROWS:
        known = {"client_id": speaker, "path": clip + suffix, "sentence": sentence, "locale": "dv"}
        known |= {"accent": "M", "accents": "M"}
        rows[split].append(tuple(known.get(column, "") for column in columns))
    tables = [(f"{home}{split}.tsv", tsv(*rows[split], header=tuple(columns))) for split in rows]
    clips = [(f"{home}clips/{clip}.mp3", tone(hz=200 + 50 * i)) for i, (*_, clip, _) in enumerate(ROWS)]
    others = ["invalidated.tsv", "other.tsv", "reported.tsv", "times.txt", "clip_durations.tsv"]
    return [*clips[:2], *tables, *((home + other, b"\xff\n") for other in others), *clips[2:]]


SPONTANEOUS = (  # the columns of release 5
    "client_id audio_id audio_file duration_ms prompt_id prompt transcription votes age gender accents"
    " variant language prompt_upvotes prompt_reports is_edited split char_per_sec quality_tags"
).split()


def spontaneous(rows: list[tuple[str, str, str, str]], locale: str = "it") -> list[tuple[str, bytes]]:
    """List the members of a release of spontaneous speech, a tone for each row.

    Parameters
    ----------
    rows: speaker, clip, transcription, split
    """
    home = f"sps-corpus-5.0-2026-09-11-{locale}"
    names = ("client_id", "audio_file", "transcription", "split")
    known = [{"prompt": "Che?", "duration_ms": "4000", **dict(zip(names, row, strict=True))} for row in rows]
    table = tsv(*(tuple(row.get(name, "") for name in SPONTANEOUS) for row in known), header=SPONTANEOUS)
    clips = [(f"{home}/audios/{row[1]}", tone(hz=200 + 10 * i)) for i, row in enumerate(rows)]
    tables = [(f"{home}/ss-corpus-{locale}.tsv", table), (f"{home}/ss-reported-audios-{locale}.tsv", b"x\n")]
    return [*clips, *tables]


def unpack(root: Path, members: list[tuple[str, bytes]]) -> Path:
    """Write members as files below a folder."""
    for name, data in members:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root
