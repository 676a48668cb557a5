"""Charts as SVG: the same text for the same numbers, and lines that fit a light page and a dark one."""

import io
from itertools import pairwise

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asr.evaluation.breakdown import DURATION_S, TIMES_SEEN, WORDS

INK = "#777778"  # axes and letters; readable on white and on black, and found by `inline`
LABELS = {"pretrained": "pretrained", "finetuned": "fine-tuned"}
COLORS = {"pretrained": "#d95f02", "finetuned": "#1b9e77"}  # ColorBrewer's Dark2
SIZE = (6.4, 3.4)  # inches
_STYLE = {
    "svg.fonttype": "none",  # letters stay letters, in the reader's font
    "svg.hashsalt": "asr",  # ids follow from the drawing, not from chance
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.alpha": 0.25,
}


def draw(parts: dict[str, pd.DataFrame], training: pd.DataFrame, validation: pd.DataFrame) -> dict[str, str]:
    """Draw every chart.

    Parameters
    ----------
    parts: as `asr.evaluation.breakdown.wer_by_parts` has them
    training, validation: the curves, as metrics/*_curve.csv have them

    Returns
    -------
    SVG, by the names of their files in metrics/parts/; none by speaker where no speakers are known
    """
    duration, words, seen = (parts[name] for name in ("duration", "words", "times_seen"))
    return {
        "training_curve": training_curve(training, validation),
        "duration": wer_by_part(duration, ranges(DURATION_S), "length of the clip, s"),
        "words": wer_by_part(words, whole_ranges(WORDS), "words in the sentence"),
        "times_seen": wer_by_part(
            seen, whole_ranges(TIMES_SEEN), "times that the sentence's rarest word was trained on"
        ),
        **({"speaker": wer_by_speaker(parts["speaker"])} if len(parts["speaker"]) else {}),
    }


def training_curve(training: pd.DataFrame, validation: pd.DataFrame) -> str:
    """Draw the losses, and the WER on the validation rows, over the steps.

    Parameters
    ----------
    training: columns step, loss
    validation: columns step, loss, wer (percent)
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(SIZE, layout="constrained")
        losses, wer = figure.subplots(1, 2)
        losses.plot(training.step, training.loss, color=INK, label="training")
        losses.plot(validation.step, validation.loss, "o-", color=COLORS["finetuned"], label="validation")
        losses.set(xlabel="step", ylabel="loss", ylim=(0, None))
        losses.legend()
        wer.plot(validation.step, validation.wer, "o-", color=COLORS["finetuned"])
        wer.set(xlabel="step", ylabel="validation WER, %", ylim=(0, None), xlim=losses.get_xlim())
        return _svg(figure)


def wer_by_part(rows: pd.DataFrame, names: dict[int, str], label: str) -> str:
    """Draw the WER of both models for parts of the test set that are ranges of a number.

    Parameters
    ----------
    rows: as `asr.evaluation.breakdown.wer_by` has them, lower edges in the first column
    names: of the parts, by lower edge
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(SIZE, layout="constrained")
        axes = figure.subplots()
        width = 0.38
        for (model, name), shift in zip(LABELS.items(), (-width / 2, width / 2), strict=True):
            places = [place + shift for place in range(len(rows))]
            axes.bar(places, rows[f"wer_{model}"], width, color=COLORS[model], label=name)
        counted = zip(rows.iloc[:, 0], rows.utterances, strict=True)
        ticks = [f"{names[edge]}\n{clips} clips" for edge, clips in counted]
        axes.set_xticks(range(len(rows)), ticks)
        axes.set(xlabel=label, ylabel="WER, %")
        _legend_above(axes)
        return _svg(figure)


def wer_by_speaker(rows: pd.DataFrame) -> str:
    """Draw a dot per speaker: the pretrained model's WER across, the fine-tuned model's upwards."""
    with matplotlib.rc_context(_STYLE | {"axes.grid.axis": "both"}):
        figure = Figure((4.4, 4.0), layout="constrained")
        axes = figure.subplots()
        highest = max(rows.wer_pretrained.max(), rows.wer_finetuned.max(), 1)
        axes.plot([0, highest], [0, highest], "--", color=INK, linewidth=1, label="no change")
        axes.scatter(rows.wer_pretrained, rows.wer_finetuned, color=COLORS["finetuned"], alpha=0.7)
        axes.set(xlabel="pretrained WER, %", ylabel="fine-tuned WER, %", xlim=(0, None), ylim=(0, None))
        _legend_above(axes)
        return _svg(figure)


def inline(svg: str) -> str:
    """Take what a chart needs to stand within a page: no header, and the page's colour for its ink."""
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def ranges(edges: tuple[int, ...]) -> dict[int, str]:
    """Name parts by their lower edges, each up to the next: 0-2, 2-4, 4+."""
    names = {low: f"{low}-{high}" for low, high in pairwise(edges)}
    return names | {edges[-1]: f"{edges[-1]}+"}


def whole_ranges(edges: tuple[int, ...]) -> dict[int, str]:
    """Name parts of whole numbers by their lower edges: 0, 1-4, 5+."""
    names = {low: f"{low}-{high - 1}" if high > low + 1 else f"{low}" for low, high in pairwise(edges)}
    return names | {edges[-1]: f"{edges[-1]}+"}


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()
