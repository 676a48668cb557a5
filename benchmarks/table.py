"""Results for people: tables in Markdown, and the page that they go to."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/benchmarks.md"


def put_into_page(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands on a page between the lines `<!-- name -->` and `<!-- /name -->`."""
    old = page.read_text(encoding="utf-8")
    before, _, after = re.split(f"(?<=<!-- {name} -->\n)(.*?)(?=<!-- /{name} -->)", old, flags=re.DOTALL)
    page.write_text(f"{before}{text}\n{after}", encoding="utf-8")


def table(results: dict) -> str:
    """Lay results out: the notebook's figure, ours, and how many times better ours is."""
    rows = [
        _row("preparation, ms a clip", results["prepare"], 1e3),
        _row("stored, MB an hour of audio", results["store"], 1e-6),
        _row("training, samples/s", results["train"], 1),
        _row("evaluation, s a clip", results["evaluate"], 1),
        *(_row(f"peak memory, {name}, GB", row, 1e-9) for name, row in results["rss"].items()),
        *(_row(f"peak GPU memory, {name}, GB", row, 1e-9) for name, row in results["cuda"].items()),
    ]
    for how, rates in (("", "error_rates"), (", ours padded to the window", "error_rates_padded")):
        for name, change in results[rates].items():
            difference = (
                f"{change['after'] - change['before']:+.1f} ({change['low']:+.1f} to {change['high']:+.1f})"
            )
            rows.append(f"| {name}{how}, % | {change['before']:.1f} | {change['after']:.1f} | {difference} |")
    corpus, settings, machine = results["corpus"], results["settings"], results["machine"]
    plain = results["same_as_plain"]
    share = results["prepare"]["ours"] / results["decoding_alone"]
    return "\n".join(
        [
            f"{corpus['train']} training and {corpus['test']} test clips, {corpus['hours']:.2f} h in all;"
            f" {settings['steps']} steps of {settings['batch_size']}, a window of {settings['window_s']} s",
            "",
            "| | notebook | ours | ratio |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            f"Ours: preparation takes {share:.2f} times what one core takes to decode the clips and no more;"
            f" {plain['same_as_plain']} of {plain['clips']} transcripts are those of one clip at a time,"
            " padded to the window.",
            ", ".join(f"{name} {value}" for name, value in machine.items() if value is not None),
        ]
    )


def _row(what: str, row: dict, scale: float) -> str:
    notebook, ours = (_three_digits(row[side] * scale) for side in ("notebook", "ours"))
    return f"| {what} | {notebook} | {ours} | {row['ratio']:.1f} |"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
