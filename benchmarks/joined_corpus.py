"""Join the clips of each speaker in an archive to some 5 s, as long as those of Common Voice:

    python -m benchmarks.joined_corpus short.tar.gz joined.tar.gz
"""

import csv
import random
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr

from asr.audio.decode import decode

RATE = 48_000  # Hz, as Common Voice's
SPLITS = ("train", "dev", "test")
SHORTEST_S, LONGEST_S = 1.0, 6.5  # clips are joined until they are as long as a length drawn between the two
LIMIT_S = 12.0  # none is longer; clips that are longer by themselves are left out
PAUSE_S = 0.3  # after every clip
SEED = 13


def join(rows: list[dict], clips: Path, draw: random.Random) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield a row and the sound for the joined clips of each speaker."""
    for speaker in dict.fromkeys(row["client_id"] for row in rows):
        own = []
        for row in rows:
            if row["client_id"] == speaker:
                sound = soxr.resample(*decode((clips / row["path"]).read_bytes()), RATE)
                sound = np.append(sound, np.zeros(round(PAUSE_S * RATE), sound.dtype))
                if len(sound) <= LIMIT_S * RATE:
                    own.append((row, sound))
        while own:
            taken, wanted_s = [own.pop(0)], draw.uniform(SHORTEST_S, LONGEST_S)
            length = len(taken[0][1])
            while own and length < wanted_s * RATE and length + len(own[0][1]) <= LIMIT_S * RATE:
                length += len(own[0][1])
                taken.append(own.pop(0))
            sentence = " ".join(row["sentence"] for row, _ in taken)
            yield taken[0][0] | {"sentence": sentence}, np.concatenate([sound for _, sound in taken])


def main(source: str, target: str) -> None:
    with TemporaryDirectory() as temporary:
        with tarfile.open(source) as archive:
            archive.extractall(temporary, filter="data")
        old = next(Path(temporary).glob("*/*/train.tsv")).parent
        new = Path(temporary, "joined", old.name)
        (new / "clips").mkdir(parents=True)
        for split in SPLITS:
            with (old / f"{split}.tsv").open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            lines, seconds = ["\t".join(rows[0])], 0.0
            for row, sound in join(rows, old / "clips", random.Random(SEED)):
                soundfile.write(new / "clips" / row["path"], sound, RATE, format="MP3")
                lines.append("\t".join(row.values()))
                seconds += len(sound) / RATE
            (new / f"{split}.tsv").write_text("\n".join([*lines, ""]), encoding="utf-8")
            print(f"{split}: {len(lines) - 1} clips of {seconds / (len(lines) - 1):.1f} s")
        with tarfile.open(target, "w:gz") as archive:
            archive.add(new.parent, "joined")


if __name__ == "__main__":
    main(*sys.argv[1:])
