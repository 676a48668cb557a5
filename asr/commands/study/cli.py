"""Try settings against each other, each with several seeds.

    asr study study.yaml              run what is missing, then print the table
    asr study study.yaml --table      print the table of the runs that there are

The file names seeds, and settings by the parameters that they change. The first setting is the one that the
others are compared with:

    seeds: [42, 43, 44]
    settings:
      baseline: {}
      notebook: {train.learning_rate: 1.0e-5, train.lr_scheduler_type: constant_with_warmup}

Each run is an experiment of DVC, in a folder of its own. A run that is there is not repeated, so the command
goes on where it was interrupted. Runs belong to the last commit: after another one, all are run again.
"""

from pathlib import Path

from asr.commands import arguments


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("study", __doc__)
    parser.add_argument("study", type=Path, help="a YAML file")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--md", action="store_true", help="write the table in Markdown")
    arguments.add_recipe(parser)
    args = parser.parse_args(argv)

    from asr.commands.study import experiments, results

    study = experiments.read(args.study)
    runs = experiments.planned(args.recipe, study)
    if not args.table:
        experiments.run_missing(args.recipe, runs)
    print(results.table(args.recipe, study, runs, "github" if args.md else "simple"))
