"""The findings about a language in Markdown, for the terminal and the recipe's README.md."""

import unicodedata

from asr.commands.new_language.database import Language
from asr.commands.new_language.relatives import Candidate, proposals
from asr.commands.new_language.spelling import POSITIONS, Cost, Treatment

MANY_IDS = 7  # for a word; docs/languages.md has the numbers of several languages
LONG_WORDS = 15  # characters on average; such a script has no spaces between words
APOSTROPHES = "'’‘`´"


def of_language(language: Language, ranked: list[Candidate], chosen: str) -> list[str]:
    """Say which token was chosen, and how near it and others are."""
    first = ranked[0]
    if first.same and first.token == chosen:
        return [f"Whisper knows {language.name}: `model.language: {chosen}`."]
    known = "knows" if first.same else "does not know"
    lines = [f"Whisper {known} {language.name}. `model.language` is `{chosen}`. The nearest languages:", ""]
    for number, one in enumerate(proposals(ranked), 1):
        lines.append(f"{number}. `{one.token}` ({one.language.name}): {one.reason()}")
    if not first.near():
        lines += [
            "",
            "This is a guess: none of Whisper's languages is in the same branch of the family. Try two or"
            " three in short runs (`dvc exp run -S model.language=…`) and compare them.",
        ]
    return lines


def of_tokenizer(cost: Cost) -> list[str]:
    """Say how many ids a word takes, whether labels fit the decoder, and what helps."""
    lines = [f"{cost.ids / cost.words:.1f} ids a word, {cost.ids / cost.characters:.2f} a character."]
    if cost.characters / cost.words > LONG_WORDS:
        lines.append("There are hardly any spaces, so `wer` counts phrases: quote `cer`.")
    if cost.too_long:
        lines.append(
            f"More ids than the decoder's {POSITIONS} positions: {cost.too_long:,} of {cost.sentences:,}"
            f" labels (the longest has {cost.longest:,}). Training drops them as `too_many_labels`."
        )
    if cost.ids > MANY_IDS * cost.words:
        lines.append(
            "That is many. `model.extend_tokenizer: 500` learns larger tokens from the training sentences:"
            " shorter labels, faster training and transcription (docs/training.md). After `dvc repro filter`,"
            " metrics/filter.json has the new number."
        )
    return lines


def of_normalisers(found: Treatment) -> list[str]:
    """Say whether `wer_whisper_basic` means anything, and at which characters within words `wer` splits."""
    lines = []
    if found.marks:
        lines.append(
            f"`wer_whisper_basic` drops {found.marks:,} marks, such as vowel signs, and makes"
            f" {found.whisper_words:,} words of {found.words:,}: it is not a word error rate here."
        )
    for character, number in found.parting.most_common():
        name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
        line = f"{character} ({name}) within a word: {number:,}. `wer` counts such a word as two."
        if character in APOSTROPHES:
            line += " If it is a letter, not an elision, write it as ʼ (U+02BC) or ʻ (U+02BB) in the table."
        lines.append(line)
    return lines
