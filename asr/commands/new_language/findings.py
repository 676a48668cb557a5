"""What was found out about a language, in Markdown: for the terminal, and for the recipe's README.md."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from asr.commands.new_language.alphabets import Alphabet
from asr.commands.new_language.database import Language, script_name
from asr.commands.new_language.relatives import Candidate, proposals
from asr.commands.new_language.spelling import POSITIONS, TO_TRY, Cost, Treatment, no_letters
from asr.commands.new_language.survey import Survey, hours

MANY_IDS = 7  # a word: docs/languages.md has what languages cost that Whisper knows
LONG_WORDS = 15  # characters: by then it is not words that spaces part
OWN_TOKENS = 50_257  # of every multilingual Whisper, special tokens not counted
FULL_WINDOW_S = 30
APOSTROPHES = "'’‘`´ʼʻ"


def of_language(language: Language, script: str, ranked: list[Candidate], chosen: str) -> list[str]:
    """Say which token was chosen, what speaks for it, and for others."""
    first = ranked[0]
    if first.same and first.token == chosen:
        return [f"Whisper knows {language.name}: `model.language: {chosen}`."]
    known = "knows" if first.same else "does not know"
    lines = [f"Whisper {known} {language.name}. `model.language` is `{chosen}`. What lies near:", ""]
    for number, one in enumerate(proposals(ranked), 1):
        lines.append(f"{number}. `{one.token}` ({one.language.name}): {one.reason()}")
    lines += ["", f"It is compared as written in {script_name(script) or 'a script that is not known'}."]
    if language.script not in ("", script):
        lines.append(f"That is the script of the text; the usual one is {script_name(language.script)}.")
    if script and not any(one.language.script == script for one in ranked):
        lines.append("No language of Whisper's is written so.")
    if not language.family:
        lines.append("Nothing is known of its family, so only script, contact and distance speak here.")
    if not first.near():
        lines.append(
            "This is a guess: no language of Whisper's is of the same branch. Try two or three in short runs"
            " (`dvc exp run -S model.language=…`) and compare them."
        )
    return lines


def of_tokenizer(cost: Cost, extended: Cost | None, n_tokens: int) -> list[str]:
    """Say what a word costs, whether labels fit the decoder, and what is to be done."""
    lines = [
        f"{cost.ids_per_word:.1f} ids a word, {cost.ids / cost.characters:.2f} a character;"
        f" {cost.broken / cost.ids:.0%} of the ids are parts of a character."
    ]
    if n_tokens < OWN_TOKENS:
        lines.append(f"The tokenizer is not Whisper's own: it has {n_tokens:,} tokens, not {OWN_TOKENS:,}.")
    if cost.characters / cost.words > LONG_WORDS:
        lines.append("There are hardly any spaces, so a word is a phrase here: quote `cer`.")
    if cost.too_long:
        lines.append(
            f"More ids than the decoder's {POSITIONS} positions: {cost.too_long:,} of {cost.sentences:,}"
            f" labels (the longest has {cost.longest:,}). Such leave training as `too_many_labels`."
        )
    else:
        lines.append(f"The longest label has {cost.longest} ids; the decoder has {POSITIONS} positions.")
    if cost.ids_per_word > MANY_IDS:
        lines.append(
            f"That is many. `model.extend_tokenizer: {TO_TRY}` learns larger tokens from the training"
            " sentences: shorter labels, faster training and transcription (docs/training.md)."
        )
        if extended:
            lines.append(
                f"Tried on these sentences: {extended.ids_per_word:.1f} ids a word, on a tenth of them from"
                " which nothing was learned."
            )
    return lines


def of_normalisers(found: Treatment, letters: Treatment, alphabet: Alphabet) -> list[str]:
    """Say what `wer` and `wer_whisper_basic` leave of a text, and of the letters of the alphabet."""
    if found.words + letters.words == 0:
        return ["Not checked: there is no text, and the letters are not known. Give --archive or --text."]
    lost = found.lost + letters.lost
    listing = f", and the {len(alphabet.letters)} letters and marks of the alphabet" if letters.words else ""
    lines = [f"`wer` keeps every letter, mark and number of the text{listing}."]
    if lost:
        lines = [f"**`wer` loses {listed(lost)}. That is a bug: please report it.**"]
    seen = found if found.words else letters  # single marks of an alphabet may be parts of composed letters
    if seen.whisper_lost:
        kinds = f"{len(seen.whisper_lost)} of {len(seen.marks)} marks"
        lines.append(f"`wer_whisper_basic` drops {kinds}: {listed(seen.whisper_lost)}.")
    if found.whisper_words > found.words or found.confused:
        lines.append(
            f"With it, {found.words:,} words become {found.whisper_words:,}, and {found.confused:,} of"
            f" {found.different:,} different words are the same as another: it is no word error rate here."
        )
    elif not seen.whisper_lost:
        lines.append("`wer_whisper_basic` keeps them too.")
    letters = {c for letter in alphabet.letters for c in letter}
    for character in no_letters(alphabet.letters):
        lines.append(f"{named(character)} is in the alphabet, but no letter to Unicode: `wer` parts at it.")
    for character, number in found.parting.most_common():
        lines.append(f"{named(character)} within a word: {number:,}. `wer` takes such a word for two.")
        true = [c for c in "ʼʻ" if c in letters]
        if character in APOSTROPHES and true:
            lines[-1] += f" Where it is the letter {named(true[0])}, write it so in the table."
        elif character in APOSTROPHES:
            lines[-1] += " If it is a letter, and no elision, write it as U+02BC in the table."
    if found.invisible:
        lines.append(f"`wer` takes out, and parts no word at: {listed(found.invisible)}.")
    if found.digits:
        lines.append(f"Digits of its own are kept as they are, ٣ is not 3: {listed(found.digits)}.")
    return lines


def of_corpus(found: Survey, ids: int) -> list[str]:
    """Say how much there is, and how long clips are where the release says so.

    Parameters
    ----------
    ids: that the sentences of train, dev and test take, or 0
    """
    lines = []
    for name, clips in found.clips.items():
        duration = f", {hours(found.seconds[name]):.1f} hours" if found.seconds else ""
        lines.append(f"- `{name}`: {clips:,} clips, {found.speakers[name]:,} speakers{duration}")
    lines.append("")
    seconds = sorted(s for name, of_it in found.seconds.items() if name != "validated.tsv" for s in of_it)
    if not seconds:
        return [*lines, "The release does not say how long its clips are: `dvc repro filter` does."]
    longest = seconds[-1]
    lines.append(
        f"Half of the clips of train, dev and test are shorter than {seconds[len(seconds) // 2]:.1f} s,"
        f" 99 of 100 than {seconds[int(len(seconds) * 0.99)]:.1f} s, and the longest has {longest:.1f} s."
    )
    if ids:
        lines.append(f"A second takes {ids / sum(seconds):.1f} ids.")
    if longest < FULL_WINDOW_S - 1:
        lines.append(
            f"`model.audio_window_s: {int(longest) + 1}` holds them all and makes training cheaper; leave it"
            f" at {FULL_WINDOW_S} if you mean to transcribe longer ones (docs/training.md)."
        )
    over = sum(s > FULL_WINDOW_S for s in seconds)
    if over:
        lines.append(f"{over:,} are longer than {FULL_WINDOW_S} s and leave training.")
    return lines


def named(character: str) -> str:
    """Name a character, so that one that cannot be seen or stands alone can be read."""
    shown = f"\u25cc{character}" if unicodedata.category(character)[0] == "M" else character
    code = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
    return f"{shown} ({code})" if unicodedata.category(character) != "Cf" else code


def listed(counts: Counter, most: int = 8) -> str:
    """List the most frequent characters with their numbers."""
    first = [f"{named(character)} {number:,}" for character, number in counts.most_common(most)]
    return ", ".join(first) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def page(title: str, sections: dict[str, Sequence[str]]) -> str:
    """Put sections under their headings."""
    parts = ["\n".join([f"## {name}", "", *lines]) for name, lines in sections.items() if lines]
    return "\n\n".join([f"# {title}", *parts]) + "\n"
