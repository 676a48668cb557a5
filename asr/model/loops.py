"""End the texts of a batch that repeat themselves: no clip waits for a loop, and none inserts 400 ids."""

import torch
from transformers import StoppingCriteria

SPAN = 64  # ids at the end of a text that repeat: some two lines of text, more than is said twice
TIMES = 3  # how often they repeat within the span, at least
EVERY = 8  # steps between two looks
FEW = (
    4  # a round of a search is over when no more than one text in FEW goes on: a new one costs some ten steps
)


class EndLoops(StoppingCriteria):
    """Ends a text whose last SPAN ids are one sequence, TIMES in a row or more; `looped` says which."""

    def __init__(self, batch_size: int, eos_token_id: int, device: torch.device) -> None:
        self.looped = torch.zeros(batch_size, dtype=torch.bool, device=device)
        self.eos_token_id = eos_token_id

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Return whether each text has been ended, shape = (batch,), of ids of shape (batch, n_ids)."""
        n_ids = input_ids.shape[1]
        if n_ids > SPAN and n_ids % EVERY == 0:
            tail = input_ids[:, -SPAN:]
            periods = range(1, SPAN // TIMES + 1)
            repeats = torch.stack([(tail[:, period:] == tail[:, :-period]).all(dim=1) for period in periods])
            goes_on = tail[:, -1] != self.eos_token_id  # a text that has ended is padded with it
            self.looped |= repeats.any(dim=0) & goes_on
        return self.looped


class EndRound(EndLoops):
    """Ends all texts of a batch when few go on. `ended` says which had ended by themselves, or as loops."""

    def __init__(self, batch_size: int, eos_token_id: int, device: torch.device) -> None:
        super().__init__(batch_size, eos_token_id, device)
        self.ended = self.looped

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Return whether each text has been ended, shape = (batch,), of ids of shape (batch, n_ids)."""
        looped = super().__call__(input_ids, scores)
        self.ended = self.ended | looped | (input_ids[:, -1] == self.eos_token_id)
        return self.ended | (FEW * (~self.ended).sum() <= len(self.ended))
