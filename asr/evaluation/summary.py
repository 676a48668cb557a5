"""Print what a finished recipe measured and where the rest is: python -m asr.evaluation.summary FOLDER"""

import argparse
import json
from pathlib import Path


def summary(recipe: Path) -> str:
    """Lay a recipe's metrics out for a terminal.

    Raises
    ------
    FileNotFoundError: the recipe has not been run.
    """
    path = recipe / "metrics/evaluate.json"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: run `dvc repro` in {recipe}")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    before, after = metrics["pretrained"], metrics["finetuned"]
    lines = [
        "",
        f"{recipe}: {after['utterances']} test clips, {after['reference_words']} words",
        f"{'':20}{'pretrained':>12}{'fine-tuned':>12}",
    ]
    for name, what in (("wer", "WER, marks kept"), ("wer_ortho", "WER, as written"), ("cer", "CER")):
        lines.append(f"{what:20}{before[name]:11.2f}%{after[name]:11.2f}%")
    files = {
        "report.html": "the report: open it in a browser",
        "metrics/evaluate.json": "all metrics; compare commits with `dvc metrics diff`",
        "metrics/utterances.csv": "every test clip: reference, what each model heard, errors",
        "data/model": "the fine-tuned model, as transformers.pipeline loads it",
        "data/model/README.md": "its model card",
    }
    lines.append("")
    lines += [f"{recipe / name}: {what}" for name, what in files.items() if (recipe / name).exists()]
    lines.append(f"plots: cd {recipe} && dvc plots show --open")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, help="the folder of a dvc.yaml")
    print(summary(parser.parse_args().recipe))
