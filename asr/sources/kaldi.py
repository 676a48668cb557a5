"""Data folders of Kaldi and ESPnet: https://kaldi-asr.org/doc/data_prep.html."""

import logging
from collections.abc import Iterator
from pathlib import Path

from asr.sources.containers import file_pieces
from asr.sources.lines import SHOWN, read_lines
from asr.sources.metadata import Row

TEXT = "text"
logger = logging.getLogger(__name__)


def is_data_folder(file: Path, *_) -> bool:
    return file.name == TEXT and (file.parent / "wav.scp").is_file()


def read(text: Path, *_) -> Iterator[Row]:
    """Yield a row for each line of `text`, in the file's order.

    Raises
    ------
    ValueError: a recording is the output of a command, or a segment has not three fields.
    """
    names = ("wav.scp", "utt2spk", "spk2gender", "segments")
    sounds, speakers, genders, segments = (dict(_pairs(text.parent / name)) for name in names)
    for recording, sound in sounds.items():
        if sound.endswith("|"):
            raise ValueError(
                f"{text.parent}/wav.scp: {recording!r} is the output of a command, {sound[:SHOWN]!r},"
                " and commands are not run: write it to a file, and the file's path into wav.scp"
            )
    parts = {utterance: segment.split() for utterance, segment in segments.items()}
    for utterance, part in parts.items():
        if len(part) != 3:
            raise ValueError(f"{text.parent}/segments: {utterance!r} has to have a recording, start and end")
    left = parts or {recording: (recording, "", "") for recording in sounds}
    for utterance, sentence in _pairs(text):
        recording, start, end = left.pop(utterance, (utterance, "", ""))
        speaker = speakers.get(utterance, "")
        yield {
            "audio": sounds.get(recording, utterance),
            "sentence": sentence,
            "speaker": "" if speaker == utterance else speaker,  # as Kaldi has it where it is not known
            "gender": genders.get(speaker, ""),
            "start": start,
            "end": end,
        }
    if left:
        logger.warning(
            "%s has no line for %d utterances, such as %r: left out", text, len(left), next(iter(left))
        )


def _pairs(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the first word of each line, and what follows it; nothing if there is no such file."""
    if file.is_file():
        for line in read_lines(file_pieces(file), str(file), logger.warning):
            key, value = (*line.split(None, 1), "", "")[:2]
            if key:
                yield key, value.rstrip()
