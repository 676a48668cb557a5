"""Look at a corpus before you train: sizes, faults, and how much its test set can tell.

    asr check corpora/mine               recordings and a table, or annotations
    asr check corpora/cv-corpus-….tar.gz a Common Voice release, packed or unpacked
    asr check                            the recipe of the current folder, with all its corpora

It reads every clip as `download` would, and of its sound only the header. Nothing is written. The exit code
is 0 also where it finds faults, and 1 where the corpus cannot be read.
"""

import json
from contextlib import chdir
from pathlib import Path

from asr.commands import arguments


def main(argv: list[str]) -> None:
    parser = arguments.command_parser("check", __doc__)
    what = "a folder, an archive, a table, or a recipe's folder (default: the current folder's recipe)"
    parser.add_argument("corpus", type=Path, nargs="?", metavar="PATH", help=what)
    parser.add_argument("--locale", help="of a release of several")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="as Markdown")
    form.add_argument("--json", action="store_true", help="with all counts")
    args = parser.parse_args(argv)

    is_recipe = args.corpus is None or (args.corpus / "params.yaml").is_file()
    if is_recipe and args.locale:
        parser.error("--locale is for a release: a recipe's corpora have theirs in params.yaml")

    from asr.commands.check import layout
    from asr.commands.check.examination import of_path, of_recipe

    if is_recipe:
        with chdir(args.corpus or Path()):
            found, title = of_recipe(), Path.cwd().name
    else:
        found, title = of_path(args.corpus, args.locale), str(args.corpus)
    if args.json:
        print(json.dumps(found, indent=2))
    elif args.md:
        log = {"Read": [f"- {line}" for line in found["log"]]}
        print(layout.page(title, log | layout.sections(found, "github")), end="")
    else:
        print(layout.as_text(title, found), end="")
