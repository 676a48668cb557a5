"""What is wrong with an encoded clip: cut off, or in a format that is not decoded here.

Only what the file itself proves counts. A clip that was cut off between two frames and never said how
long it is cannot be told from a whole one.
"""

import re

SLACK_S = 0.5  # encoders' delay and padding make less of a difference than that
DECODABLE = "wav, flac, mp3, ogg and opus"
# Written where the length was not known yet; some programs take less than the largest number.
LENGTH_UNKNOWN = 2**31 - 2**16
FRAMES_UNKNOWN = 2**63 - 1  # libsndfile's, of a stream that does not say how many it has
_MPEG = "\nMPEG-1/2 Audio\n"  # in libsndfile's log of an mp3
_MPEG_LENGTHS = (b"Xing", b"Info", b"VBRI")  # headers that say how long an mp3 is; without, it is guessed
_MENDED = "`ffmpeg -i OLD -c copy NEW` mends that"
_WAV_LENGTHS = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_FOREIGN = (
    (4, b"ftyp", "MPEG-4 (m4a, AAC)"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"#!AMR", "AMR"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media"),
)


def format_hint(data: bytes) -> str:
    """Name the format of a clip that could not be decoded, if it is a known one, and those that can be."""
    found = next((name for at, magic, name in _FOREIGN if data.startswith(magic, at)), "")
    return f"{found} is not decoded here, {DECODABLE} are: convert it" if found else ""


def reason(error: Exception) -> str:
    """Say why libsndfile failed; `str(error)` would name an object in memory, another one in every run."""
    return getattr(error, "error_string", str(error)).rstrip(".")


def cut_off(data: bytes, rate: int, declared: int, decoded: int, reached: float, log: str) -> str:
    """Tell how much of a clip is missing, "" if it is whole as far as one can see.

    Parameters
    ----------
    data: the file, or its beginning and its end
    rate: Hz
    declared: samples of each channel that libsndfile expected
    decoded: samples that came
    reached: share of the file's bytes that the decoder has taken
    log: what libsndfile noted of the header, `SoundFile.extra_info`
    """
    lengths = _WAV_LENGTHS.search(log)
    if lengths:
        said, there = map(int, lengths.groups())
        if there and said < LENGTH_UNKNOWN:
            declared = decoded * said // there
    if _MPEG in log:
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
