"""Tell whether the model of one revision is better than that of another.

    asr compare main                the working tree against main
    asr compare v1 v2 --md          two revisions, as Markdown for a pull request
    asr compare main faster-rate    an experiment, under its name in `dvc exp show`

It reads metrics/utterances.csv of both, which is committed, and needs neither data nor models.
"""

from asr.commands import arguments

SHOWN = 5  # utterances that improved most, and as many that worsened most


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("compare", __doc__)
    parser.add_argument("before", help="a git revision, or an experiment's name")
    parser.add_argument("after", nargs="?", help="another (default: the working tree)")
    parser.add_argument("--md", action="store_true", help="write Markdown")
    arguments.add_recipe(parser)
    args = parser.parse_args(argv)

    from asr.commands.compare.comparison import compare, most_changed, require_same_test_set
    from asr.commands.compare.layout import as_markdown, as_text
    from asr.commands.compare.revisions import read_table
    from asr.params import load_params
    from asr.tables.corpus import corpus_of

    params = load_params(args.recipe / "params.yaml").evaluate
    names = (args.before, args.after or "working tree")
    before, after = read_table(args.recipe, args.before), read_table(args.recipe, args.after)
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
