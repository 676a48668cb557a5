"""Train from a checkpoint to the end, wherever that is and whatever the disk says."""

import copy
import logging
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import Trainer, TrainerState
from transformers.trainer_utils import align_special_tokens

from asr.runtime import disk
from asr.training.checkpoints import STATE, best_of, has_ended, saved_in, whole_in
from asr.training.progress_callback import Progress

logger = logging.getLogger(__name__)


def train_from(trainer: Trainer, checkpoint: Path | None) -> None:
    """Train from a checkpoint, or from the beginning, to the end, and load the best model.

    A training that had ended at the checkpoint does not go on (the trainer itself would take one more
    step, or several after an early stop): its history and its best model are loaded.

    Raises
    ------
    OSError: there was no room for a checkpoint.
    """
    # As the trainer does; its validation passes then write generate()'s defaults into the settings.
    align_special_tokens(trainer.model, trainer.processing_class)
    settings = vars(trainer.model.generation_config)
    before = copy.deepcopy(settings)
    if checkpoint and has_ended(checkpoint):
        _take_ended(trainer, checkpoint)
    else:
        _train(trainer, checkpoint)
    settings.clear()
    settings.update(before)


def _take_ended(trainer: Trainer, checkpoint: Path) -> None:
    logger.info(
        "%s: this training has ended, its best model is taken; to train anew, remove the folder",
        checkpoint.parent,
    )
    trainer.state = TrainerState.load_from_json(str(checkpoint / STATE))
    trainer.state.best_model_checkpoint = str(best_of(checkpoint))
    trainer._load_best_model()


def _train(trainer: Trainer, checkpoint: Path | None) -> None:
    folder = Path(trainer.args.output_dir)
    try:
        with logging_redirect_tqdm([logging.root, logging.getLogger("transformers")]):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if not disk.is_full(error):
            raise
        whole = whole_in(folder)
        raise OSError(
            f"{disk.explain_full(folder, _largest(folder))}: make room and run `dvc repro` again;"
            f" it goes on from {whole[-1].name if whole else 'the beginning, no checkpoint being whole yet'}"
        ) from None
    finally:
        trainer.pop_callback(Progress).close()  # or what follows a failure stands behind the bar


def _largest(folder: Path) -> int | None:
    """Return the bytes of the largest checkpoint."""
    sizes = [sum(f.stat().st_size for f in saved.iterdir()) for saved in saved_in(folder)]
    return max(sizes, default=None)
