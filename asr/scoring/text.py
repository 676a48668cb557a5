"""What counts as the same text: the normalisers behind the error rates, each a pure `str -> str`.

- `normalize`, for `wer` and `cer`: words as they are spelled, without case and punctuation
- `orthographic`, for `wer_ortho`: the text as it stands
- `whisper_basic`, for `wer_whisper_basic`: for comparison with published numbers only

Tags, which `without_tags` removes, are no words to any error rate.
"""

import unicodedata

import regex
from transformers.models.whisper.english_normalizer import BasicTextNormalizer

# Invisible by definition (Unicode, DerivedCoreProperties: Default_Ignorable_Code_Point): joiners,
# bidirectional marks, soft hyphens, variation selectors. Zero width space is the one that parts words.
_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}--\u200b]+", regex.V1)
# Controls, and what turns the direction of the text around it; not the marks of direction (U+200E, U+200F,
# U+061C), which belong into a text of two scripts.
_CONTROL = regex.compile(r"[\p{Cc}\u202a-\u202e\u2066-\u2069--\t\n\r]", regex.V1)
# Of Common Voice's spontaneous speech, as its datasheets explain them. Other brackets hold words.
TAGS = ("[disfluency]", "[laugh]", "[laughter]", "[noise]", "[unclear]")
_TAG = f"(?:{'|'.join(map(regex.escape, TAGS))})"
_TAGS = rf"{_TAG}(?:\s*{_TAG})*+"
# With the space before them, unless a letter follows at once.
_REMOVED = regex.compile(
    rf"^\s*{_TAGS}\s*|(?<!\s)\s*+{_TAGS}(?=[\s\p{{Po}}\p{{Pe}}\p{{Pf}}]|$)|{_TAGS}", regex.I
)
_NO_WORD_CHARACTER = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def without_tags(text: str) -> str:
    """Remove TAGS, in capitals too."""
    return _REMOVED.sub("", text) if "[" in text else text


def normalize(text: str) -> str:
    """Reduce a text to its words: letters, marks and numbers, one space between words. Tags are none.

    Canonically composed (NFC) and case folded. Marks stay, for in Thaana, Sinhala and Arabic they are
    the vowels. Characters that cannot be seen go without a trace, so that a joiner inside a Sinhala
    conjunct or a Persian word does not split it; they choose between shapes, which nobody hears.
    All else parts words: punctuation, symbols, separators, controls. That includes the apostrophe,
    whichever way it is typed ("l'acqua" is two words), but not U+02BC, which is a letter where it is
    used. Text that Unicode calls merely compatible (full-width letters, ligatures, other digits) is
    different text.
    """
    text = _IGNORABLE.sub("", without_tags(text))
    # Composed before folding as well: folding makes a letter of the mark under a Greek vowel.
    text = unicodedata.normalize("NFC", text).casefold()
    return _NO_WORD_CHARACTER.sub(" ", unicodedata.normalize("NFC", text)).strip()


def has_controls(text: str) -> bool:
    """Tell whether a text has characters that nobody typed on purpose: controls, embeddings and overrides."""
    return _CONTROL.search(text) is not None


def orthographic(text: str) -> str:
    """Leave a text as it stands, but for whitespace: none at the ends, one space between words."""
    return " ".join(text.split())


def whisper_basic(text: str) -> str:
    """Normalise as Whisper does for languages other than English; not fit for judging a model.

    It takes marks for punctuation: Thaana loses its vowels and falls apart into single letters. It also
    drops what stands in brackets. From transformers, so that it is exactly what others ran; unlike
    theirs, the result has no space at its ends.
    """
    return BasicTextNormalizer()(text).strip()
