"""A comparison of two revisions as text and as Markdown."""

import html

from tabulate import tabulate

from asr.commands.compare.comparison import Change


def changes_table(changes: dict[str, Change], names: tuple[str, str], style: str) -> str:
    """Lay out the rates of both revisions and their differences."""
    rows = [
        (
            rate,
            f"{change.before:.2f} %",
            f"{change.after:.2f} %",
            f"{change.after - change.before:+.2f} ({change.low:+.2f} to {change.high:+.2f})",
            f"{100 * change.probability_better:.0f} %",
            change.verdict,
        )
        for rate, change in changes.items()
    ]
    headers = ("fine-tuned", *names, "difference (95 %)", "probability of better", "")
    return tabulate(rows, headers, tablefmt=style, colalign=("left", *["right"] * 4, "left"))


def as_text(heading: str, names: tuple[str, str], changes: dict[str, Change], changed: dict) -> str:
    """Write the comparison for a terminal."""
    lines = [heading, "", changes_table(changes, names, "simple")]
    width = max(len(name) for name in ("reference", *names))
    for title, rows in changed.items():
        lines += ["", f"{title}: {len(rows) or 'none'}"]
        for row in rows.itertuples():
            lines.append(f"  {row.id}, wrong words {row.errors_before} → {row.errors_after}")
            texts = (row.reference, row.hypothesis_before, row.hypothesis_after)
            for name, text in zip(("reference", *names), texts, strict=True):
                lines.append(f"    {name:{width}}  {text}")
    return "\n".join(lines)


def as_markdown(heading: str, names: tuple[str, str], changes: dict[str, Change], changed: dict) -> str:
    """Write the comparison for a pull request. Texts are escaped, because a model may write anything."""
    parts = [f"### {_escape(heading)}", changes_table(changes, tuple(map(_escape, names)), "github")]
    headers = ("clip", "wrong words", "reference", *map(_escape, names))
    for title, rows in changed.items():
        if len(rows):
            cells = [
                (_escape(row.id), f"{row.errors_before} → {row.errors_after}")
                + tuple(map(_escape, (row.reference, row.hypothesis_before, row.hypothesis_after)))
                for row in rows.itertuples()
            ]
            table = tabulate(cells, headers, tablefmt="github", disable_numparse=True)
            parts.append(f"<details><summary>{title}</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def _escape(text: str) -> str:
    """Escape characters that have a meaning in HTML or in a Markdown table."""
    return "".join(f"&#{ord(c)};" if c in "|*_`[]\\~#@" else c for c in html.escape(text))
