"""Label smoothing helps where the pretrained model does not know the language, and harms elsewhere."""

from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.params import Train
from asr.scoring.rates import error_rates
from asr.training import hearing
from asr.training.batches import Examples

FACTOR = 0.1
UNKNOWN = 30.0  # percent CER: it helped where whisper-base had 48 and more, and harmed where it had 13
CLIPS = 50
MAX_NEW_TOKENS = 224  # what a model writes of a language that it does not know may have no end


def choose(
    pretrained: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    validation: Examples,
    params: Train,
) -> dict:
    """Say how much to smooth by what a pretrained model hears in at most CLIPS validation clips.

    By characters, because some languages write no spaces. If several processes train, each calls this.

    Returns
    -------
    label_smoothing_factor: FACTOR if the CER is UNKNOWN or more, else 0.0
    compared: number of clips
    wer, cer: percent
    """
    clips = hearing.spread(validation, CLIPS)
    heard = hearing.heard(pretrained, processor, clips, params, MAX_NEW_TOKENS)
    rates = error_rates([clip["sentence"] for clip in clips], heard)
    return {
        "label_smoothing_factor": FACTOR if rates["cer"] >= UNKNOWN else 0.0,
        "compared": len(clips),
        "wer": round(rates["wer"], 2),
        "cer": round(rates["cer"], 2),
    }
