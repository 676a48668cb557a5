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
from asr.audio.log_mel import SAMPLE_RATE, joined, log_mel, n_frames, own_frames, pad
from asr.scoring.text import without_tags
from asr.tables.features import log_mel_of, with_arrays

NO_LOSS = -100  # the label that PyTorch's cross entropy leaves out
SORTED = 20  # global batches whose clips are sorted by length together
PAUSE = 30  # frames of silence between two clips that are joined


class Examples(torch.utils.data.Dataset):
    """Rows with their sentences, each once at every speed.

    Speed perturbation (Ko et al. 2015) plays a clip faster or slower, pitch and all. At speed 1 the
    stored features are taken; at another the clip is decoded and resampled when it is asked for. What
    gets longer than the window by it is left out.

    Parameters
    ----------
    rows: of `FEATURES`
    raw: the same rows of `RAW_FEATURES`
    mel_filters: shape = (201, n_mels)
    keep_tags: whether sentences come with the tags that asr/scoring/text.py removes
    """

    def __init__(
        self,
        rows: Dataset,
        raw: Dataset,
        mel_filters: np.ndarray,
        window_s: float,
        speeds: list[float],
        keep_tags: bool,
    ) -> None:
        self.rows, self.raw, self.mel_filters = with_arrays(rows), raw, mel_filters
        self.sentences, self.keep_tags = rows.select_columns(["sentence", "duration_s"]), keep_tags
        durations = np.asarray(rows["duration_s"][:], dtype=np.float64)
        fitting = [np.flatnonzero(durations / speed <= window_s) for speed in speeds]
        self.item_rows = np.concatenate(fitting)
        self.item_speeds = np.repeat(speeds, [len(of_speed) for of_speed in fitting])
        self.n_frames = n_frames(durations[self.item_rows] / self.item_speeds * SAMPLE_RATE).astype(int)
        self.speakers = np.unique(rows["speaker"][:], return_inverse=True)[1][self.item_rows]

    def __len__(self) -> int:
        return len(self.item_rows)

    def __getitem__(self, index: tuple[int, int | None]) -> dict:
        """Return an item's features, (n_mels, n_frames), its sentence, and the frames of its batch.

        `index` is the item's number and these frames, which the sampler decides; None: clips are joined.
        """
        item, frames = index
        row, speed = int(self.item_rows[item]), float(self.item_speeds[item])
        if speed == 1:
            features = log_mel_of(self.rows[row], self.mel_filters.shape[1])
        else:
            samples, rate = decode(self.raw[row]["audio"])
            features = log_mel(resample(samples, rate * speed), self.mel_filters)
        sentence = self.sentences[row]["sentence"]
        sentence = sentence if self.keep_tags else without_tags(sentence)
        return {"features": features, "sentence": sentence, "frames": frames}


class EpochSampler(Sampler):
    """Shuffle items anew in every epoch, and end it with its last whole global batch.

    A global batch is what one optimizer step sees, over all processes and accumulated steps. With whole
    ones only, steps are the same whether they are made by two processes or by accumulating twice. A
    corpus smaller than one is repeated until it makes one.

    Its clips have about the same length, so that little is padded: of every SORTED batches of the shuffled
    order, the clips are sorted by length. A share of the batches has the clips of one speaker after another
    instead, for the collator to join to whole windows.

    Parameters
    ----------
    frames: to which each item is padded if it is alone; shape = (n_items,)
    speakers: numbers from 0; shape = (n_items,)
    joined: that share, from 0 to 1
    """

    def __init__(
        self, frames: np.ndarray, speakers: np.ndarray, global_batch: int, seed: int, joined: float
    ) -> None:
        self.frames, self.speakers = frames, speakers
        self.global_batch, self.seed, self.joined, self.epoch = global_batch, seed, joined, 0
        self.length = max(1, len(frames) // global_batch) * global_batch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch  # asr/training/trainer.py says which, so a resumed epoch has the order that it had

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int | None]]:
        """Yield each item with the frames of its global batch; None: its clips are joined."""
        rng = np.random.default_rng([self.seed, self.epoch])
        n_items, n_batches = len(self.frames), self.length // self.global_batch
        order = np.tile(rng.permutation(n_items), math.ceil(self.length / n_items))[: self.length]
        # The share is right over the epochs, also where one epoch has few batches.
        share = self.joined * n_batches
        n_joined = int((self.epoch + 1) * share) - int(self.epoch * share)
        numbers = np.arange(n_batches)
        if self.joined or np.ptp(self.frames):  # or the order is random as it is
            order = self._grouped(order, n_joined * self.global_batch, rng)
            numbers = rng.permutation(n_batches)
        batches = order.reshape(n_batches, -1)
        for number in numbers:
            frames = None if number < n_joined else int(self.frames[batches[number]].max())
            for item in batches[number]:
                yield int(item), frames

    def _grouped(self, order: np.ndarray, n_joined: int, rng: np.random.Generator) -> np.ndarray:
        """Put `n_joined` clips first, speaker after speaker; sort the others in blocks by length."""
        turns = rng.permutation(self.speakers.max() + 1)  # of the speakers
        by_speaker = np.argsort(turns[self.speakers[order]], kind="stable")
        first, rest = by_speaker[:n_joined], np.sort(by_speaker[n_joined:])
        block = np.arange(len(rest)) // (SORTED * self.global_batch)
        return order[np.concatenate([first, rest[np.lexsort((self.frames[order[rest]], block))]])]


def frames_alone(n_frames: np.ndarray, config: WhisperConfig, window: int, padding: str) -> np.ndarray:
    """Return the frames to which each clip is padded if it is alone in a batch; shape as `n_frames`.

    Parameters
    ----------
    window: frames that the model takes in at once
    padding: "longest", to a clip's own length and a margin, or "max_length", to the window
    """
    if padding == "max_length":
        return np.full_like(n_frames, window)
    return own_frames(np.maximum(n_frames, config.mask_time_length), window)  # which SpecAugment needs


class Collator:
    """Stack examples into a batch.

    The notebook's collator compares the first label with `bos_token_id`, which in Whisper is not the
    start token: it never strips, and trains with a doubled start. Here labels come without it, and the
    decoder's input is made of them. The end of text is also the padding id, so padding is masked by
    length, never by id.
    """

    def __init__(self, config: WhisperConfig, tokenizer: WhisperTokenizer, window: int) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.window = window  # frames that the model takes in at once

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        """Return what the model takes.

        Returns
        -------
        input_features: float32, shape = (batch, n_mels, n_frames)
        attention_mask: int64, shape = (batch, n_frames), 1 on a clip's own frames. The encoder attends to
            all of them alike; SpecAugment, if it is on, masks inside of it instead of in the padding.
        labels, decoder_input_ids: int64, shape = (batch, longest)
        """
        if examples[0]["frames"] is None:
            examples, frames = self.join(examples), self.window
        else:
            frames = max(example["frames"] for example in examples)
        lengths = torch.tensor([[example["features"].shape[1]] for example in examples])
        features = np.stack([pad(example["features"], frames) for example in examples])
        labels = [torch.tensor(self._spell(e["sentence"]), dtype=torch.int64) for e in examples]
        labels = pad_sequence(labels, batch_first=True, padding_value=NO_LOSS)
        pad_id, start_id = self.config.pad_token_id, self.config.decoder_start_token_id
        return {
            "input_features": torch.from_numpy(features).float(),
            "attention_mask": (torch.arange(frames) < lengths).long(),
            "labels": labels,
            "decoder_input_ids": shift_tokens_right(labels, pad_id, start_id),
        }

    def _spell(self, sentence: str) -> list[int]:
        """Return a sentence's label ids: the prompt without the start token, text, end."""
        return self.tokenizer(sentence).input_ids[1:]  # the model puts the start token first itself

    def join(self, examples: list[dict]) -> list[dict]:
        """Join clips in their order, as many as fit a window with PAUSE frames between them.

        And as many as the decoder has positions for their labels. Returns each window's features, sentence
        and n_clips.
        """
        windows: list[dict] = []
        for example in examples:
            window = {"features": example["features"], "sentence": example["sentence"], "n_clips": 1}
            if windows:
                last = windows[-1]
                features = joined([last["features"], example["features"]], PAUSE)
                sentence = f"{last['sentence']} {example['sentence']}"
                n_ids = len(self._spell(sentence))
                if features.shape[1] <= self.window and n_ids <= self.config.max_target_positions:
                    window = {"features": features, "sentence": sentence, "n_clips": last["n_clips"] + 1}
                    windows.pop()
            windows.append(window)
        return windows
