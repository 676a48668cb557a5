"""A reading of Thaana for a Sinhala voice: each letter becomes the Sinhala one that sounds like it.

Dhivehi and Sinhala are sister languages with nearly the same sounds, and eSpeak NG speaks the second
only. Rules of the bare consonants (those with a sukun) follow the usual descriptions of Dhivehi
(B. D. Fritz, The Dhivehi Language, 2002): alifu and shaviyani double the next consonant or close
the word, thaa closes a syllable as "i".
"""

import unicodedata

CONSONANTS = dict(
    zip(
        "ހށނރބޅކވމފދތލގޏސޑޒޓޔޕޖޗޘޙޚޛޜޝޞޟޠޡޢޣޤޥ",
        "හෂනරබළකවමෆදතලගඤසඩසටයපජචතහකදජශසදතදගගකව",
        strict=True,
    )
)
# Thaana vowel sign: (Sinhala sign after a consonant, Sinhala letter that stands alone)
VOWELS = {
    "ަ": ("", "අ"),
    "ާ": ("ා", "ආ"),
    "ި": ("ි", "ඉ"),
    "ީ": ("ී", "ඊ"),
    "ު": ("ු", "උ"),
    "ޫ": ("ූ", "ඌ"),
    "ެ": ("ෙ", "එ"),
    "ޭ": ("ේ", "ඒ"),
    "ޮ": ("ො", "ඔ"),
    "ޯ": ("ෝ", "ඕ"),
}
CARRIERS = "އޢ"  # alifu and ainu have no sound of their own
SUKUN = "ް"
VIRAMA = "්"


def to_sinhala(text: str) -> str:
    """Rewrite Thaana text in Sinhala script; spaces stay, all else is refused.

    Raises
    ------
    ValueError: a character has no reading here (digits and Latin letters have to be spelled out first).
    """
    return " ".join(_word(word) for word in unicodedata.normalize("NFC", text).split())


def _word(word: str) -> str:
    spoken = []
    for index, (letter, sign) in enumerate(_syllables(word)):
        if letter not in CONSONANTS and letter not in CARRIERS:
            raise ValueError(f"no reading for {letter!r} (U+{ord(letter):04X}) in {word!r}")
        if sign in VOWELS:
            after_consonant, alone = VOWELS[sign]
            spoken.append(alone if letter in CARRIERS else CONSONANTS[letter] + after_consonant)
        elif letter in CARRIERS or letter == "ށ":
            spoken.append(_stop(word, index))
        elif letter == "ތ":
            spoken.append("ඉ")
        else:
            spoken.append(CONSONANTS[letter] + VIRAMA)
    return "".join(spoken)


def _stop(word: str, index: int) -> str:
    """Read a bare alifu or shaviyani: the next consonant doubled, or a breath at the word's end."""
    following = _syllables(word)[index + 1 : index + 2]
    if following and following[0][0] in CONSONANTS:
        return CONSONANTS[following[0][0]] + VIRAMA
    return "හ" + VIRAMA


def _syllables(word: str) -> list[tuple[str, str]]:
    """Split a word into letters, each with its vowel sign or sukun ("" if it carries none)."""
    pairs: list[tuple[str, str]] = []
    for character in word:
        if character in VOWELS or character == SUKUN:
            if not pairs or pairs[-1][1]:
                raise ValueError(f"a vowel sign without its letter in {word!r}")
            pairs[-1] = (pairs[-1][0], character)
        else:
            pairs.append((character, ""))
    return pairs
