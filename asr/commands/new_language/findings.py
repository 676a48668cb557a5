"""The findings about a language in Markdown, for the terminal and the recipe's README.md."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from asr.commands.new_language.alphabets import Alphabet
from asr.commands.new_language.database import Language, script_name
from asr.commands.new_language.relatives import Candidate, proposals
from asr.commands.new_language.spelling import POSITIONS, Cost, Treatment, no_letters
from asr.commands.new_language.survey import Survey

MANY_IDS = 7  # for a word; docs/languages.md has the numbers of several languages
LONG_WORDS = 15  # characters on average; such a script has no spaces between words
OWN_TOKENS = 50_257  # of every multilingual Whisper, without special tokens
FULL_WINDOW_S = 30
APOSTROPHES = "'’‘`´ʼʻ"


def of_language(language: Language, script: str, ranked: list[Candidate], chosen: str) -> list[str]:
    """Say which token was chosen, and how near it and others are."""
    first = ranked[0]
    if first.same and first.token == chosen:
        return [f"Whisper knows {language.name}: `model.language: {chosen}`."]
    known = "knows" if first.same else "does not know"
    lines = [f"Whisper {known} {language.name}. `model.language` is `{chosen}`. The nearest languages:", ""]
    for number, one in enumerate(proposals(ranked), 1):
        lines.append(f"{number}. `{one.token}` ({one.language.name}): {one.reason()}")
    lines += ["", f"The comparison takes it as written in {script_name(script) or 'an unknown script'}."]
    if language.script not in ("", script):
        lines.append(f"That is the script of the text; the usual one is {script_name(language.script)}.")
    if script and not any(one.language.script == script for one in ranked):
        lines.append("None of Whisper's languages has this script.")
    if not language.family:
        lines.append("Its family is unknown, so only script, contact and distance were compared.")
    if not first.near():
        lines.append(
            "This is a guess: none of Whisper's languages is in the same branch of the family. Try two or"
            " three in short runs (`dvc exp run -S model.language=…`) and compare them."
        )
    return lines


def of_tokenizer(cost: Cost, n_tokens: int) -> list[str]:
    """Say how many ids a word takes, whether labels fit the decoder, and what helps."""
    lines = [
        f"{cost.ids_per_word:.1f} ids a word, {cost.ids / cost.characters:.2f} a character;"
        f" {cost.broken / cost.ids:.0%} of the ids are parts of a character."
    ]
    if n_tokens < OWN_TOKENS:
        lines.append(f"The tokenizer is not Whisper's own: it has {n_tokens:,} tokens, not {OWN_TOKENS:,}.")
    if cost.characters / cost.words > LONG_WORDS:
        lines.append("There are hardly any spaces, so `wer` counts phrases: quote `cer`.")
    if cost.too_long:
        lines.append(
            f"More ids than the decoder's {POSITIONS} positions: {cost.too_long:,} of {cost.sentences:,}"
            f" labels (the longest has {cost.longest:,}). Training drops them as `too_many_labels`."
        )
    else:
        lines.append(f"The longest label has {cost.longest} ids; the decoder has {POSITIONS} positions.")
    if cost.ids_per_word > MANY_IDS:
        lines.append(
            "That is many. `model.extend_tokenizer: 500` learns larger tokens from the training sentences:"
            " shorter labels, faster training and transcription (docs/training.md). After `dvc repro filter`,"
            " metrics/filter.json has the new number."
        )
    return lines


def of_normalisers(found: Treatment, letters: Treatment, alphabet: Alphabet) -> list[str]:
    """Say what `wer` and `wer_whisper_basic` drop of a text and of the alphabet."""
    if found.words + letters.words == 0:
        return ["Not checked: there is no text, and the letters are unknown. Give --archive or --text."]
    lost = found.lost + letters.lost
    listing = f", and the {len(alphabet.letters)} letters and marks of the alphabet" if letters.words else ""
    lines = [f"`wer` keeps every letter, mark and number of the text{listing}."]
    if lost:
        lines = [f"**`wer` loses {listed(lost)}. That is a bug: please report it.**"]
    seen = found if found.words else letters  # an alphabet's single marks may be parts of composed letters
    if seen.whisper_lost:
        kinds = f"{len(seen.whisper_lost)} of {len(seen.marks)} marks"
        lines.append(f"`wer_whisper_basic` drops {kinds}: {listed(seen.whisper_lost)}.")
    if found.whisper_words > found.words or found.confused:
        lines.append(
            f"With it, {found.words:,} words become {found.whisper_words:,}, and {found.confused:,} of"
            f" {found.different:,} distinct words equal another one: it is not a word error rate here."
        )
    elif not seen.whisper_lost:
        lines.append("`wer_whisper_basic` keeps them too.")
    letters = {c for letter in alphabet.letters for c in letter}
    for character in no_letters(alphabet.letters):
        lines.append(f"{named(character)} is in the alphabet, but no letter in Unicode: `wer` splits at it.")
    for character, number in found.parting.most_common():
        lines.append(f"{named(character)} within a word: {number:,}. `wer` counts such a word as two.")
        true = [c for c in "ʼʻ" if c in letters]
        if character in APOSTROPHES and true:
            lines[-1] += f" Where it is the letter {named(true[0])}, write it so in the table."
        elif character in APOSTROPHES:
            lines[-1] += " If it is a letter, not an elision, write it as U+02BC in the table."
    return lines


def of_corpus(found: Survey, ids: int) -> list[str]:
    """Say how many clips and hours there are, and how long clips are, if the release has durations.

    Parameters
    ----------
    ids: of all sentences of train, dev and test; 0 if unknown
    """
    lines = []
    for name, clips in found.clips.items():
        duration = f", {sum(found.seconds[name]) / 3600:.1f} hours" if found.seconds else ""
        lines.append(f"- `{name}`: {clips:,} clips, {found.speakers[name]:,} speakers{duration}")
    lines.append("")
    seconds = sorted(s for name, of_it in found.seconds.items() if name != "validated.tsv" for s in of_it)
    if not seconds:
        return [*lines, "The release has no durations; `dvc repro filter` measures them."]
    longest = seconds[-1]
    lines.append(
        f"Half of the clips of train, dev and test are shorter than {seconds[len(seconds) // 2]:.1f} s,"
        f" 99 of 100 than {seconds[int(len(seconds) * 0.99)]:.1f} s, and the longest has {longest:.1f} s."
    )
    if ids:
        lines.append(f"A second takes {ids / sum(seconds):.1f} ids.")
    if longest < FULL_WINDOW_S - 1:
        lines.append(
            f"`model.audio_window_s: {int(longest) + 1}` fits them all and makes training cheaper. Leave it"
            f" at {FULL_WINDOW_S} to transcribe longer ones (docs/training.md)."
        )
    over = sum(s > FULL_WINDOW_S for s in seconds)
    if over:
        lines.append(f"{over:,} are longer than {FULL_WINDOW_S} s. Training drops them.")
    return lines


def named(character: str) -> str:
    """Return a character with its code and name, because some cannot be seen or stand alone."""
    shown = f"\u25cc{character}" if unicodedata.category(character)[0] == "M" else character
    code = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
    return f"{shown} ({code})" if unicodedata.category(character) != "Cf" else code


def listed(counts: Counter, most: int = 8) -> str:
    """List the most frequent characters with their counts."""
    first = [f"{named(character)} {number:,}" for character, number in counts.most_common(most)]
    return ", ".join(first) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def page(title: str, sections: dict[str, Sequence[str]]) -> str:
    """Join sections under their headings; empty ones are left out."""
    parts = ["\n".join([f"## {name}", "", *lines]) for name, lines in sections.items() if lines]
    return "\n\n".join([f"# {title}", *parts]) + "\n"
