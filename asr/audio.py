"""From encoded audio to log-mel features, as Whisper computes them but without the padding.

Whisper pads every clip to 30 s before it takes the spectrogram. What comes after the clip's end is
then one constant, which the clip's own maximum decides: `trim` leaves it out and `pad` restores it,
so that a five second clip is stored and computed as five seconds.
"""

import io
from collections.abc import Iterator
from functools import cache

import numpy as np
import soundfile
import soxr
import torch

from asr.damage import FRAMES_UNKNOWN, cut_off, format_hint, reason

SAMPLE_RATE = 16_000  # Hz, of every Whisper model
N_FFT = 400  # samples, 25 ms
HOP_LENGTH = 160  # samples
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH  # 10 ms a frame
POSITIONS_PER_SECOND = FRAMES_PER_SECOND // 2  # the encoder's second convolution has stride 2

LONGEST_S = 600  # of a clip that is decoded at all
RATES = (4_000, 384_000)  # Hz; outside of them it is the header that is wrong
SEEK_FAILED = 39  # libsndfile's SFE_PSF_FSEEK
BLOCK_SAMPLES = 2**20  # decoded at a time, of all channels: a header may promise any number of samples

# log10 of the power is clipped to this many decades below the clip's maximum, then (x + 4) / 4
# (openai/whisper, audio.py, log_mel_spectrogram).
DYNAMIC_RANGE = 8.0
LOG_POWER_FLOOR = -10.0
FEATURE_RANGE = DYNAMIC_RANGE / 4
FEATURE_FLOOR = (LOG_POWER_FLOOR + 4) / 4


def decode(data: bytes) -> tuple[np.ndarray, int]:
    """Decode an encoded clip (mp3, ogg, opus, flac, wav: libsndfile's formats) to mono.

    Returns
    -------
    float32, shape = (n_samples,), in [-1, 1], and its sample rate in Hz

    Raises
    ------
    ValueError: the bytes are no audio, or contain no sample, or samples that are not finite.
    OverflowError: longer than LONGEST_S.
    EOFError: the file says that it is longer than it is, or is longer than can be decoded.
    """
    stream = io.BytesIO(data)
    try:
        with soundfile.SoundFile(stream) as file:
            rate, declared, log = file.samplerate, file.frames, file.extra_info
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"a sample rate of {rate} Hz")
            samples = _mono(file)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise ValueError(format_hint(data) or reason(error)) from error
    missing = cut_off(data, rate, declared, len(samples), stream.tell() / len(data), log)
    if missing:
        raise EOFError(missing)
    if len(samples) == 0:
        raise ValueError("no samples")
    if not np.isfinite(samples).all():
        raise ValueError("samples that are not finite")
    return samples, rate


def _mono(file: soundfile.SoundFile) -> np.ndarray:
    """Read a clip; the channels' mean."""
    parts, length = [], 0
    for block, broken in blocks(file, max(1, BLOCK_SAMPLES // file.channels)):
        if broken:
            raise ValueError(broken)
        length += len(block)
        if length > LONGEST_S * file.samplerate:
            raise OverflowError(f"longer than {LONGEST_S} s")
        parts.append(block[:, 0] if file.channels == 1 else block.mean(axis=1))
    return np.concatenate(parts)


def blocks(file: soundfile.SoundFile, size: int) -> Iterator[tuple[np.ndarray, str]]:
    """Decode all there is, not what the header promises, `size` samples of each channel at a time.

    `SoundFile.blocks` goes by the header, and fills up what is not there with samples that it gave before.

    Yields
    ------
    float32, shape = (n_samples, n_channels), and what is wrong with the rest, "" if nothing is
    """
    while True:
        block, broken = np.zeros((min(size, file.frames), file.channels), np.float32), ""
        try:
            block = file.read(out=block)
        except (soundfile.SoundFileError, RuntimeError) as error:
            block = block[: np.flatnonzero(block.any(axis=1)).max(initial=-1) + 1]
            # soundfile seeks after reading: at the end of a stream of unknown length that fails.
            if not (file.frames == FRAMES_UNKNOWN and getattr(error, "code", None) == SEEK_FAILED):
                broken = reason(error)
        yield block, broken
        if broken or len(block) < size:
            return


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample float32 mono samples from `rate` Hz to 16 kHz with soxr's high quality."""
    if rate == SAMPLE_RATE:
        return samples
    return soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")


def n_frames(n_samples: int) -> int:
    """Count the frames that a clip's samples touch: the last one's window reaches half a window back."""
    return -(-(n_samples + N_FFT // 2) // HOP_LENGTH)


def log_mel(samples: np.ndarray, mel_filters: np.ndarray) -> np.ndarray:
    """Compute Whisper's log-mel features of a clip, up to the last frame that the clip touches.

    Equal to `WhisperFeatureExtractor` on the clip padded with silence, cut after `n_frames`.

    Parameters
    ----------
    samples: float32, shape = (n_samples,), 16 kHz
    mel_filters: shape = (201, n_mels), as `WhisperFeatureExtractor.mel_filters`

    Returns
    -------
    float32, shape = (n_mels, n_frames)
    """
    frames = n_frames(len(samples))
    # The transform reflects half a window at both ends; at the end it has to reflect silence.
    audio = torch.zeros(frames * HOP_LENGTH + N_FFT)
    audio[: len(samples)] = torch.from_numpy(samples)
    spectrum = torch.stft(audio, N_FFT, HOP_LENGTH, window=_hann_window(), return_complex=True)
    power = spectrum[:, :frames].abs().square_()  # (201, n_frames); in place, as below: allocating takes time
    mel = torch.from_numpy(mel_filters).to(torch.float32).T @ power.contiguous()
    log_power = mel.clamp_(min=10**LOG_POWER_FLOOR).log10_()
    log_power = torch.maximum(log_power, log_power.max() - DYNAMIC_RANGE)
    return log_power.add_(4).div_(4).numpy()


@cache
def _hann_window() -> torch.Tensor:
    return torch.hann_window(N_FFT)


def pad(features: np.ndarray, frames: int) -> np.ndarray:
    """Pad (or cut) log-mel features to a number of frames, as if the clip went on in silence.

    Parameters
    ----------
    features: float16 or float32, shape = (n_mels, n_frames)

    Returns
    -------
    same dtype, shape = (n_mels, frames)
    """
    silence = max(float(features.max()) - FEATURE_RANGE, FEATURE_FLOOR)
    missing = frames - features.shape[1]
    if missing <= 0:
        return features[:, :frames]
    return np.pad(features, ((0, 0), (0, missing)), constant_values=silence)
