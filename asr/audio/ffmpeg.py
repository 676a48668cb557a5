"""Recordings of phones, cameras and browsers, which libsndfile does not read: through FFmpeg's libraries."""

import ctypes
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np

from asr.audio.damage import FRAMES_UNKNOWN, SLACK_S

# FFmpeg also reads playlists, which open other files and addresses.
FORMATS = "aac,ac3,amr,ape,asf,avi,dss,eac3,flv,matroska,mov,mpeg,mpegts,wv"
# Those that state their length; of others FFmpeg guesses it from the bit rate.
STATE_LENGTH = ("asf", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
LARGEST_ALLOCATION = 2**27  # bytes; an MPEG-4 of 18 kB can ask for an index of gigabytes
BLOCKS = (b"\xa3", b"\xa0", b"\x1f")  # first byte of a SimpleBlock, BlockGroup and Cluster (RFC 9559)
BLOCK_HEADER = 4  # bytes before a frame in a block: track, time and flags

ctypes.CDLL(av.error.__file__).av_max_alloc(LARGEST_ALLOCATION)  # found in the library that this module loads


class FFmpegFile:
    """A recording that is read like a `soundfile.SoundFile`: its first audio stream, block by block.

    Raises
    ------
    RuntimeError: none of FORMATS.
    ValueError: without sound, or with sound of an unknown kind.
    """

    frames = FRAMES_UNKNOWN

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        try:
            self._container = av.open(file, options={"format_whitelist": FORMATS})
        except (av.FFmpegError, OSError) as error:  # OSError: it seeks to before the beginning
            raise RuntimeError(error.strerror) from error
        stream = self._container.streams.best("audio")
        if not stream or not stream.codec_context or not stream.rate or not stream.channels:
            raise ValueError("no sound in it that can be decoded")
        self.samplerate, self.channels = stream.rate, stream.channels
        self.format = self._container.format.name
        length = self._container.duration if self.format in STATE_LENGTH else None
        self.stated_s = (length or 0) / av.time_base  # 0: it does not say
        self.missing = ""  # what the file proves to be missing at its end; known when all is read
        self._file, self._stream, self._reached_s = file, stream, 0.0
        self._decoded, self._rest = self._blocks(), np.zeros((0, self.channels), np.float32)

    def __enter__(self) -> "FFmpegFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def read(self, out: np.ndarray) -> np.ndarray:
        """Fill an array of shape (n_samples, n_channels); return the part of it that was filled.

        Raises
        ------
        RuntimeError: what follows cannot be decoded.
        """
        filled = 0
        while filled < len(out):
            if not len(self._rest):
                self._rest = next(self._decoded, self._rest)
            if not len(self._rest):
                break
            taken = self._rest[: len(out) - filled]
            out[filled : filled + len(taken)] = taken
            self._rest = self._rest[len(taken) :]
            filled += len(taken)
        return out[:filled]

    def _blocks(self) -> Iterator[np.ndarray]:
        """Decode packet by packet. Those of other streams are looked at too: a film may end in silence."""
        broken, end, kind = "", 0, None
        try:
            for packet in self._container.demux():
                if broken and packet.size:
                    raise RuntimeError(broken)
                if packet.pts is not None:
                    stop = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self._reached_s = max(self._reached_s, float(stop))
                if packet.size and packet.pos is not None:
                    end = packet.pos + packet.size
                if packet.stream is not self._stream:
                    continue
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    broken = error.strerror
                    continue
                for frame in frames:
                    if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                        resampler = av.AudioResampler("fltp", self._stream.layout, self.samplerate)
                    for part in resampler.resample(frame):
                        yield part.to_ndarray().T
        except (av.FFmpegError, OSError) as error:
            raise RuntimeError(error.strerror) from error
        self.missing = "its last packet is not whole" if broken else self._cut_off(end)

    def _cut_off(self, end: int) -> str:
        """Compare the length that the file states with what was read up to the byte `end`."""
        if self.stated_s:
            if self.stated_s - self._reached_s > SLACK_S:
                return f"{self._reached_s:.1f} s are there of {self.stated_s:.1f} s"
        elif self.format.startswith("matroska"):
            self._file.seek(end + BLOCK_HEADER)
            if self._file.read(1) in BLOCKS:
                return "its last block is not whole"
        return ""
