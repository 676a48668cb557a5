"""Write a recipe for another language.

    asr new-language ckb --archive corpora/cv-corpus-….tar.gz
    asr new-language ckb --folder corpora/mine

It proposes the nearest of Whisper's languages. With a corpus or a text it counts the ids that a word takes in
the tokenizer, and names characters at which words are split. The folder gets a dvc.yaml, a params.yaml, and
the findings as README.md.
"""

import argparse
from pathlib import Path

from asr.commands import arguments

SIZES = ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo")


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = arguments.command_parser("new-language", __doc__)
    parser.add_argument("locale", metavar="CODE", help="a Common Voice locale or ISO 639 code, such as ckb")
    corpus = parser.add_mutually_exclusive_group()
    what = "a Common Voice release (default: the one in corpora/)"
    corpus.add_argument("--archive", type=Path, metavar="FILE", help=what)
    what = "recordings and a table or annotations; the table itself, where there are several"
    corpus.add_argument("--folder", type=Path, metavar="PATH", help=what)
    corpus.add_argument("--mdc", metavar="DATASET", help="id or slug on Mozilla Data Collective")
    what = "sentences to check, one on each line, without an archive"
    parser.add_argument("--text", type=Path, metavar="FILE", help=what)
    parser.add_argument("--language", help="the token to use instead of the nearest")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--size", choices=SIZES, default="small", help="of Whisper (default: %(default)s)")
    model.add_argument("--model", help="another checkpoint: a name on the hub, or a folder")
    parser.add_argument("--tokenizer", type=Path, metavar="FOLDER", help="with Whisper's tokenizer, offline")
    what = "default: recipes/LOCALE in the repository"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=what)
    args = parser.parse_args(argv)
    args.model = args.model or f"openai/whisper-{args.size}"
    return args


def main(argv: list[str]) -> None:
    args = _arguments(argv)
    from asr.commands.new_language.corpus import find_archive
    from asr.commands.new_language.proposal import write
    from asr.runtime.errors import CODE

    if not args.archive and not args.text and not args.mdc and not args.folder:
        args.archive = find_archive(args.locale)
    print(write(args, args.out or CODE / "recipes" / args.locale), end="")
