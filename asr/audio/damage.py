"""What is wrong with an encoded clip: cut off, or never finished.

Only what the file itself proves counts. A clip that was cut off between two frames and never said how
long it is cannot be told from a whole one.
"""

import os
import re
from typing import BinaryIO

SLACK_S = 0.5  # encoders' delay and padding make less of a difference than that
# Written where the length was not known yet; some programs take less than the largest number.
LENGTH_UNKNOWN = 2**31 - 2**16
LENGTH = LENGTH_UNKNOWN.to_bytes(4, "little")  # to be written where `unfinished` says
UNFINISHED = "its recorder did not write the length: read to the end"
NO_INDEX = "the index of an MPEG-4 file, which recorders write last, is missing: it cannot be decoded"
FRAMES_UNKNOWN = 2**63 - 1  # libsndfile's, of a stream that does not say how many it has
_MPEG = "\nMPEG-1/2 Audio\n"  # in libsndfile's log of an mp3
_MPEG_LENGTHS = (b"Xing", b"Info", b"VBRI")  # headers that say how long an mp3 is; without, it is guessed
_MENDED = "`ffmpeg -i OLD -c copy NEW` mends that"
_NO_FRAME = 7  # libsndfile's error for an mp3 without a frame; its text is of a file that does not exist
_WAV_LENGTHS = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
MOST_BOXES = 100  # of an MPEG-4 file that are looked at
_MPEG_4 = (b"ftyp", b"mdat", b"wide", b"free", b"skip")  # what one begins with (ISO/IEC 14496-12)


def reason(error: Exception) -> str:
    """Say why libsndfile failed; `str(error)` would name an object in memory, another one in every run."""
    if getattr(error, "code", None) == _NO_FRAME:
        return "an mp3 without a whole frame"
    return getattr(error, "error_string", str(error)).rstrip(".")


def lacks_index(file: BinaryIO) -> bool:
    """Tell whether a file is MPEG-4 (mp4, m4a, 3gp) without its index, which recorders write last."""
    at, size = 0, file.seek(0, os.SEEK_END)
    for _ in range(MOST_BOXES):
        file.seek(at)
        header = file.read(16)
        length, name = int.from_bytes(header[:4]), header[4:8]
        if at >= size:
            return True
        if name == b"moov" or at == 0 and name not in _MPEG_4:
            return False
        length = int.from_bytes(header[8:]) if length == 1 else length
        at += length if length >= 8 else size  # 0: to the end
    return False


def unfinished(start: bytes, size: int) -> int | None:
    """Find the length, four bytes, of a WAV's samples that its recorder has left at 0; None if there is none.

    Parameters
    ----------
    start: the file's first bytes
    size: of the file, in bytes
    """
    at = 12  # after "RIFF", its length and "WAVE"
    while start[:4] == b"RIFF" and at + 8 < min(len(start), size):
        name, length = start[at : at + 4], int.from_bytes(start[at + 4 : at + 8], "little")
        if name == b"data":
            another_chunk = start[at + 8 : at + 12].isalpha()
            return None if length or another_chunk else at + 4
        at += 8 + length + length % 2
    return None


def _tags(data: bytes) -> int:
    """Count the bytes of the tags at an mp3's end: ID3v1, Lyrics3v2 and APEv2, each of which is optional."""
    end = len(data)
    while end > 0:
        if data[end - 128 : end - 125] == b"TAG":
            end -= 128
        elif data[end - 9 : end] == b"LYRICS200" and data[end - 15 : end - 9].isdigit():
            end -= 15 + int(data[end - 15 : end - 9])
        elif data[end - 32 : end - 24] == b"APETAGEX":
            has_header = data[end - 9] >> 7
            end -= 32 * has_header + max(32, int.from_bytes(data[end - 20 : end - 16], "little"))
        else:
            break
    return len(data) - end


def cut_off(data: bytes, size: int, rate: int, declared: int, decoded: int, taken: int, log: str) -> str:
    """Tell how much of a clip is missing, "" if it is whole as far as one can see.

    Parameters
    ----------
    data: the file, or its beginning and its end
    size: of the file, in bytes
    rate: Hz
    declared: samples of each channel that libsndfile expected
    decoded: samples that came
    taken: bytes that the decoder has taken
    log: what libsndfile noted of the header, `SoundFile.extra_info`
    """
    lengths = _WAV_LENGTHS.search(log)
    if lengths:
        said, there = map(int, lengths.groups())
        if there and said < LENGTH_UNKNOWN:
            declared = decoded * said // there
    if _MPEG in log:
        reached = taken / max(taken, size - _tags(data))
        if decoded * (1 - reached) > SLACK_S * rate * reached:
            heard_s, length_s = decoded / rate, decoded / rate / reached
            there = f"{heard_s:.1f} s are decoded of about {length_s:.1f} s"
            return f"{there}, for its header tells of no more: {_MENDED}"
        if not any(header in data for header in _MPEG_LENGTHS):
            declared = decoded
    if declared != FRAMES_UNKNOWN and declared - decoded > SLACK_S * rate:
        return f"{decoded / rate:.1f} s are there of {declared / rate:.1f} s"
    if data.startswith(b"OggS"):
        return _last_page(data)
    return ""


def _last_page(data: bytes) -> str:
    """Compare the last Ogg page's length with its table, and its stream with the first's (RFC 3533)."""
    start = data.rfind(b"OggS")
    table = data[start + 27 : start + 27 + data[start + 26]] if len(data) > start + 26 else None
    if table is None or len(data) < start + 27 + len(table) + sum(table):
        return "the last page is not whole"
    if data[start + 14 : start + 18] != data[14:18]:
        return f"it is several streams, one after the other, of which the first is decoded: {_MENDED}"
    return ""
