"""Tell whether the model of one revision is better than that of another.

    asr compare main                the working tree against main
    asr compare v1 v2 --md          two revisions, as Markdown for a pull request
    asr compare main faster-rate    an experiment, under its name in `dvc exp show`
    asr compare --hypotheses mms.csv    another system's transcripts of the test set against the working tree

It reads metrics/utterances.csv of both, which is committed, and needs neither data nor models.
"""

from pathlib import Path

from asr.commands import arguments

SHOWN = 5  # utterances that improved most, and as many that worsened most


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("compare", __doc__)
    parser.add_argument("before", nargs="?", help="a git revision, or an experiment's name")
    parser.add_argument("after", nargs="?", help="another (default: the working tree)")
    what = "instead of revisions: a .csv, .tsv or .jsonl with a clip's id or file name, and a text"
    parser.add_argument("--hypotheses", type=Path, metavar="FILE", help=what)
    parser.add_argument("--md", action="store_true", help="write Markdown")
    arguments.add_recipe(parser)
    args = parser.parse_args(argv)
    if bool(args.before) == bool(args.hypotheses):
        parser.error("name either a revision or a file of --hypotheses")

    from asr.commands.compare.comparison import compare, most_changed, require_same_test_set
    from asr.commands.compare.hypotheses import read_hypotheses
    from asr.commands.compare.layout import as_markdown, as_text
    from asr.commands.compare.revisions import read_table
    from asr.params import load_params
    from asr.tables.corpus import corpus_of

    params = load_params(args.recipe / "params.yaml").evaluate
    after = read_table(args.recipe, args.after)
    if args.hypotheses:
        names = (args.hypotheses.name, "working tree")
        before = read_hypotheses(args.hypotheses, after)
    else:
        names = (args.before, args.after or "working tree")
        before = read_table(args.recipe, args.before)
    require_same_test_set(before, after)
    changes = {
        rate.upper(): change
        for rate, change in compare(before, after, params.bootstrap_samples, params.seed).items()
    }
    corpora = before.id.map(corpus_of)
    for name, rows in before.groupby(corpora) if corpora.nunique() > 1 else ():
        if rows.reference_words.any():
            changes[f"WER of {name}"] = compare(rows, after, params.bootstrap_samples, params.seed)["wer"]
    changed = dict(zip(("Most improved", "Most worsened"), most_changed(before, after, SHOWN), strict=True))
    speakers = before.speaker[before.speaker != ""].nunique()
    heading = f"{names[0]} → {names[1]}: {len(before)} utterances, {speakers} speakers"
    if speakers < 2:
        heading += " (so resampled by utterance: the intervals are too narrow)"
    print((as_markdown if args.md else as_text)(heading, names, changes, changed))
