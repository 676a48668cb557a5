"""What is said: number phrases in Dhivehi, and invented words in Sinhala script."""

import random

from dv_normalize import normalize

from asr.synthesis.thaana import CONSONANTS, VIRAMA, VOWELS

MONTHS = ("ޖެނުއަރީ ފެބްރުވަރީ މާޗް އޭޕްރީލް މެއި ޖޫން ޖުލައި އޯގަސްޓް ސެޕްޓެންބަރު އޮކްޓޫބަރު ނޮވެންބަރު ޑިސެންބަރު").split()


def dhivehi_phrase(rng: random.Random) -> str:
    """Draw a number, time, date, year, price, percentage, ordinal, age or score, spelled out in Thaana."""
    number = rng.randrange(1, 10 ** rng.randint(1, 4))
    return normalize(
        rng.choice(
            (
                f"{number}",
                f"{rng.randrange(24)}:{rng.randrange(60):02}",
                f"{rng.randrange(1, 29)} {rng.choice(MONTHS)}",
                f"{rng.randrange(1, 29)} {rng.choice(MONTHS)} {rng.randrange(1950, 2030)}",
                f"{rng.choice(MONTHS)} {rng.randrange(1950, 2030)}",
                f"{number} ރ",
                f"{rng.randrange(100)}%",
                f"{rng.randrange(1, 100)}ވަނަ",
                f"{rng.randrange(1, 100)} އަހަރު",
                f"{rng.randrange(10)}-{rng.randrange(10)}",
            )
        )
    )


def invented_phrase(rng: random.Random) -> str:
    """Draw one to six words of no language in Sinhala letters, all syllables as likely as each other."""
    return " ".join(_invented_word(rng) for _ in range(rng.randint(1, 6)))


def _invented_word(rng: random.Random) -> str:
    word = ""
    for index in range(rng.choice((1, 2, 2, 2, 3, 3, 4))):
        sign, alone = rng.choice(tuple(VOWELS.values()))
        if rng.random() < (0.15 if index else 0.2):
            word += alone
        else:
            onset = rng.choice(_LETTERS)
            if index and rng.random() < 0.15:
                word += onset + VIRAMA  # doubled
            word += onset + sign
        if rng.random() < 0.25:
            word += rng.choice(_CODAS) + VIRAMA
    return word


_LETTERS = tuple(sorted(set(CONSONANTS.values())))
_CODAS = tuple("නසහරලමකටතප")
