"""The difference between two fine-tuned models, from their tables of utterances of one test set."""

from dataclasses import dataclass

import pandas as pd

from asr.evaluation.bootstrap import interval, resample, units
from asr.evaluation.error_counts import RATES


@dataclass(frozen=True)
class Change:
    """A rate in two tables, in percent, and their difference in percentage points; negative is better."""

    before: float
    after: float
    low: float  # of the difference's 95 % interval
    high: float
    probability_better: float  # share of resamples with a lower rate, plus half of those with an equal one

    @property
    def verdict(self) -> str:
        if self.low <= 0 <= self.high:
            return "no difference shown"
        return "better" if self.high < 0 else "worse"


def require_same_test_set(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise ValueError unless both tables have the same clips, references and reference lengths."""
    left, right = before.set_index("id"), after.set_index("id")
    alone = [len(left.index.difference(right.index)), len(right.index.difference(left.index))]
    if any(alone):
        raise ValueError(
            f"the test sets differ: {alone[0]} clips only before, {alone[1]} only after, of {len(left)} and"
            f" {len(right)}. Error rates of different clips do not compare; transcribe the same ones twice"
        )
    for column, what in (
        ("reference", "have another reference"),
        ("reference_words", "have another number of words, so the definition of a word differs"),
        ("reference_chars", "have another number of characters, so the definition of a character differs"),
    ):
        changed = left.index[left[column] != right[column].reindex(left.index)]
        if len(changed):
            raise ValueError(
                f"the test sets differ: {len(changed)} of {len(left)} clips {what}, the first {changed[0]!r}."
                " Check out the older revision and run `dvc repro evaluate` with the present scoring"
            )


def compare(before: pd.DataFrame, after: pd.DataFrame, samples: int, seed: int) -> dict[str, Change]:
    """Compare a rate in two tables by a paired bootstrap: the same speakers are drawn for both.

    Parameters
    ----------
    before, after: tables as asr/evaluation/utterance_table.py has them, of the same test set
    """
    errors = [f"{count}_finetuned" for count, _ in RATES.values()]
    both = before.merge(after[["id", *errors]], on="id", suffixes=("", "_after"))
    counted = [
        *(lengths for _, lengths in RATES.values()),
        *errors,
        *(f"{column}_after" for column in errors),
    ]
    totals = both.groupby(units(both))[counted].sum()
    sums = resample(totals, samples, seed)
    return {
        rate: _change(totals, sums, f"{count}_finetuned", lengths) for rate, (count, lengths) in RATES.items()
    }


def _change(totals: pd.DataFrame, sums: pd.DataFrame, errors: str, lengths: str) -> Change:
    old, new = (100 * totals[column].sum() / totals[lengths].sum() for column in (errors, f"{errors}_after"))
    said = sums[sums[lengths] > 0]
    differences = (100 * (said[f"{errors}_after"] - said[errors]) / said[lengths]).to_numpy()
    low, high = interval(new - old, differences, totals[lengths].to_numpy())
    better = (differences < 0).mean() + (differences == 0).mean() / 2
    return Change(old, new, low, high, better)


def most_changed(before: pd.DataFrame, after: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pick the utterances that improved and worsened most, by words, then by characters, then by id.

    Returns
    -------
    Two tables of at most `count` rows: id, reference, hypothesis_before, hypothesis_after, errors_before,
    errors_after (words)
    """
    columns = ["id", "hypothesis_finetuned", "errors_finetuned", "char_errors_finetuned"]
    both = before[["reference", *columns]].merge(after[columns], on="id", suffixes=("_before", "_after"))
    both.columns = both.columns.str.replace("_finetuned", "")
    both["words"] = both.errors_after - both.errors_before
    both["chars"] = both.char_errors_after - both.char_errors_before
    kept = ["id", "reference", "hypothesis_before", "hypothesis_after", "errors_before", "errors_after"]
    order = both.sort_values(["words", "chars", "id"])
    back = both.sort_values(["words", "chars", "id"], ascending=[False, False, True])
    return order.loc[order.words < 0, kept].head(count), back.loc[back.words > 0, kept].head(count)
