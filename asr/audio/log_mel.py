"""Log-mel features as Whisper computes them, but without the padding.

Whisper pads every clip to 30 s before it takes the spectrogram. What comes after the clip's end is
then one constant, which the clip's own maximum decides. `log_mel` stops at the clip's end and `pad`
restores the rest, so a five second clip is stored and computed as five seconds.
"""

import numpy as np

SAMPLE_RATE = 16_000  # Hz, of every Whisper model
N_FFT = 400  # samples, 25 ms
HOP_LENGTH = 160  # samples
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH  # 10 ms a frame
POSITIONS_PER_SECOND = FRAMES_PER_SECOND // 2  # the encoder's second convolution has stride 2

# log10 of the power is clipped to this many decades below the clip's maximum, then (x + 4) / 4
# (openai/whisper, audio.py, log_mel_spectrogram).
DYNAMIC_RANGE = 8.0
LOG_POWER_FLOOR = -10.0
FEATURE_RANGE = DYNAMIC_RANGE / 4
FEATURE_FLOOR = (LOG_POWER_FLOOR + 4) / 4

# What follows a clip's end in a batch, where models take clips at their own length. By this silence a model
# hears that the clip has ended.
MARGIN = FRAMES_PER_SECOND // 2  # frames
STEP = FRAMES_PER_SECOND // 2  # frames; lengths are multiples of it, so that many clips have the same


def n_frames(n_samples: int | np.ndarray) -> int | np.ndarray:
    """Count the frames that clips' samples touch: the last one's window reaches half a window back."""
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
    import torch  # not above: whoever reads the constants only would wait for it

    frames = n_frames(len(samples))
    # The transform reflects half a window at both ends; at the end it has to reflect silence.
    audio = torch.zeros(frames * HOP_LENGTH + N_FFT)
    audio[: len(samples)] = torch.from_numpy(samples)
    spectrum = torch.stft(audio, N_FFT, HOP_LENGTH, window=torch.hann_window(N_FFT), return_complex=True)
    power = spectrum[:, :frames].abs().square_()  # (201, n_frames); in place, as below: allocating takes time
    mel = torch.from_numpy(mel_filters).to(torch.float32).T @ power.contiguous()
    log_power = mel.clamp_(min=10**LOG_POWER_FLOOR).log10_()
    log_power = torch.maximum(log_power, log_power.max() - DYNAMIC_RANGE)
    return log_power.add_(4).div_(4).numpy()


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


def own_frames(n_frames: np.ndarray | int, window: int) -> np.ndarray | int:
    """Return the frames of clips that are padded to their own length: MARGIN more, at most the window."""
    return np.minimum(window, -(-(n_frames + MARGIN) // STEP) * STEP)


def joined(clips: list[np.ndarray], pause: int) -> np.ndarray:
    """Join features as if the clips had been recorded one after the other, with silence between them.

    Equal to `log_mel` of the joined samples but for the frames that reach over a clip's ends: what is quieter
    than the loudest clip by DYNAMIC_RANGE is clipped.

    Parameters
    ----------
    clips: float16 or float32, shape = (n_mels, n_frames) each
    pause: frames between two clips
    """
    floor = max(max(float(clip.max()) for clip in clips) - FEATURE_RANGE, FEATURE_FLOOR)
    silence = np.full((clips[0].shape[0], pause), floor, dtype=clips[0].dtype)
    parts = [part for clip in clips for part in (silence, clip)][1:]
    return np.maximum(np.concatenate(parts, axis=1), np.asarray(floor, dtype=clips[0].dtype))
