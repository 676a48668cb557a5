"""From rows to what the model takes: in which order, at what speed, padded, and with labels."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from transformers import WhisperConfig, WhisperTokenizer
from transformers.models.whisper.modeling_whisper import shift_tokens_right

from asr.audio.decode import decode, resample
from asr.audio.log_mel import log_mel, pad
from asr.tables.features import log_mel_of, with_arrays

NO_LOSS = -100  # the label that PyTorch's cross entropy leaves out


class Examples(torch.utils.data.Dataset):
    """Rows with their label ids, each once at every speed.

    Speed perturbation (Ko et al. 2015) plays a clip faster or slower, pitch and all. At speed 1 the
    stored features are taken; at another the clip is decoded and resampled when it is asked for. What
    gets longer than the window by it is left out.

    Parameters
    ----------
    rows: of `FEATURES`
    raw: the same rows of `RAW_FEATURES`
    mel_filters: shape = (201, n_mels)
    """

    def __init__(
        self,
        rows: Dataset,
        raw: Dataset,
        tokenizer: WhisperTokenizer,
        mel_filters: np.ndarray,
        window_s: float,
        speeds: list[float],
    ) -> None:
        self.rows, self.raw, self.mel_filters = with_arrays(rows), raw, mel_filters
        # Spelled when they are asked for: the ids of a large corpus would fill the memory of every worker.
        self.sentences, self.tokenizer = rows.select_columns("sentence"), tokenizer
        durations = np.asarray(rows["duration_s"][:], dtype=np.float64)
        fitting = [np.flatnonzero(durations / speed <= window_s) for speed in speeds]
        self.item_rows = np.concatenate(fitting)
        self.item_speeds = np.repeat(speeds, [len(of_speed) for of_speed in fitting])

    def __len__(self) -> int:
        return len(self.item_rows)

    def __getitem__(self, index: int) -> dict:
        """Return features, (n_mels, n_frames), and labels: prompt without the start token, text, end."""
        row, speed = int(self.item_rows[index]), float(self.item_speeds[index])
        if speed == 1:
            features = log_mel_of(self.rows[row], self.mel_filters.shape[1])
        else:
            samples, rate = decode(self.raw[row]["audio"])
            features = log_mel(resample(samples, rate * speed), self.mel_filters)
        # The tokenizer puts the start token first; the model does that itself.
        labels = self.tokenizer(self.sentences[row]["sentence"]).input_ids[1:]
        return {"features": features, "labels": labels}


class EpochSampler(Sampler):
    """Shuffle rows anew in every epoch, and end it with its last whole global batch.

    A global batch is what one optimizer step sees, over all processes and accumulated steps. With whole
    ones only, steps are the same whether they are made by two processes or by accumulating twice. A
    corpus smaller than one is repeated until it makes one.
    """

    def __init__(self, n_rows: int, global_batch: int, seed: int) -> None:
        self.n_rows, self.seed, self.epoch = n_rows, seed, 0
        self.length = max(1, n_rows // global_batch) * global_batch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch  # asr/training/trainer.py says which, so a resumed epoch has the order that it had

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n_rows)
        return iter(np.tile(order, math.ceil(self.length / self.n_rows))[: self.length].tolist())


class Collator:
    """Stack examples into a batch.

    The notebook's collator compares the first label with `bos_token_id`, which in Whisper is not the
    start token: it never strips, and trains with a doubled start. Here labels come without it, and the
    decoder's input is made of them. The end of text is also the padding id, so padding is masked by
    length, never by id.
    """

    def __init__(self, config: WhisperConfig, frames: int) -> None:
        self.config = config
        self.frames = frames  # the model's window

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        """Return what the model takes.

        Returns
        -------
        input_features: float32, shape = (batch, n_mels, frames)
        attention_mask: int64, shape = (batch, frames), 1 on a clip's own frames. The encoder attends to
            all of them alike; SpecAugment, if it is on, masks inside of it instead of in the padding.
        labels, decoder_input_ids: int64, shape = (batch, longest)
        """
        features = np.stack([pad(example["features"], self.frames) for example in examples])
        lengths = torch.tensor([[example["features"].shape[1]] for example in examples])
        labels = [torch.tensor(example["labels"], dtype=torch.int64) for example in examples]
        labels = pad_sequence(labels, batch_first=True, padding_value=NO_LOSS)
        pad_id, start_id = self.config.pad_token_id, self.config.decoder_start_token_id
        return {
            "input_features": torch.from_numpy(features).float(),
            "attention_mask": (torch.arange(self.frames) < lengths).long(),
            "labels": labels,
            "decoder_input_ids": shift_tokens_right(labels, pad_id, start_id),
        }
