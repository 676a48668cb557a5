"""End texts that do not end by themselves, so that no other clip waits for them and none inserts 400 ids."""

import torch
from transformers import StoppingCriteria

# A sequence of ids loops if it stands TIMES in a row, in LEAST ids or more. A long one loops already if it
# fills MOST ids, some two lines of text: more than is said twice.
TIMES, LEAST, MOST = 8, 24, 64
LONGEST = 21  # ids of a sequence: thrice in MOST
EVERY = 8  # steps between two looks
# A round of a search is over when no more than one text in FEW goes on: a new one costs some ten steps.
FEW = 4


class EndLoops(StoppingCriteria):
    """Ends a text that loops, or has more ids than its clip can have; `looped` says which.

    Parameters
    ----------
    limits: ids that each text of a batch can have, with those of the prompt; shape = (batch,)
    """

    def __init__(self, limits: torch.Tensor, eos_token_id: int) -> None:
        self.limits, self.eos_token_id = limits, eos_token_id
        self.looped = torch.zeros_like(limits, dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Return whether each text has been ended, shape = (batch,), of ids of shape (batch, n_ids)."""
        n_ids = input_ids.shape[1]
        ended = n_ids >= self.limits
        if n_ids % EVERY == 0:
            for period in range(1, LONGEST + 1):
                span = min(max(TIMES * period, LEAST), MOST)
                if n_ids > span:
                    tail = input_ids[:, -span:]
                    ended |= (tail[:, period:] == tail[:, :-period]).all(dim=1)
        self.looped |= ended & (input_ids[:, -1] != self.eos_token_id)  # with which an ended text is padded
        return self.looped


class EndRound(EndLoops):
    """Ends all texts of a batch when few go on. `ended` says which had ended by themselves, or were ended."""

    def __init__(self, limits: torch.Tensor, eos_token_id: int) -> None:
        super().__init__(limits, eos_token_id)
        self.ended = self.looped

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Return whether each text has been ended, shape = (batch,), of ids of shape (batch, n_ids)."""
        looped = super().__call__(input_ids, scores)
        self.ended = self.ended | looped | (input_ids[:, -1] == self.eos_token_id)
        return self.ended | (FEW * (~self.ended).sum() <= len(self.ended))
