"""Languages as the tables have them; a data release that loses one of these is no release to take."""

import pytest

from asr.commands.new_language.database import find


@pytest.mark.parametrize(
    ("locale", "name", "script", "family", "group"),
    [
        ("dv", "Dhivehi", "Thaa", "Indo-European", "Dhivehi-Sinhala"),
        ("ckb", "Central Kurdish", "Arab", "Indo-European", "Kurdish"),
        ("ti", "Tigrinya", "Ethi", "Afro-Asiatic", "Ethiosemitic"),
        ("sat", "Santali", "Olck", "Austroasiatic", "North Munda"),
        ("zgh", "Standard Moroccan Tamazight", "Tfng", "Afro-Asiatic", "Berber"),
        ("ug", "Uighur", "Arab", "Turkic", "Common Turkic"),
        ("rw", "Kinyarwanda", "Latn", "Atlantic-Congo", "Narrow Bantu"),
        ("rm-sursilv", "Romansh", "Latn", "Indo-European", "Romance"),
        ("pa-IN", "Eastern Panjabi", "Guru", "Indo-European", "Indo-Aryan"),
        ("nan-tw", "Min Nan Chinese", "Hani", "Sino-Tibetan", "Sinitic"),
        ("zh-HK", "Yue Chinese", "Hani", "Sino-Tibetan", "Yue-Pinghua"),  # Common Voice's is Cantonese
        ("uz-Cyrl", "Uzbek", "Cyrl", "Turkic", "Common Turkic"),  # the tag's own script
        # Macrolanguages, which Glottolog does not have: what most of their parts are in
        ("ar", "Arabic", "Arab", "Afro-Asiatic", "Semitic"),  # Juba Arabic, a pidgin, is not
        ("zh-CN", "Chinese", "Hani", "Sino-Tibetan", "Sinitic"),
    ],
)
def test_a_locale_has_script_and_family(locale, name, script, family, group):
    found = find(locale)
    assert (found.name, found.script, found.family[0]) == (name, script, family)
    assert group in found.family


def test_a_language_without_relatives_has_its_place():
    basque = find("eu")
    assert basque.family == () and basque.places and "ES" in basque.countries


def test_a_macrolanguage_has_the_places_of_its_parts():
    assert len(find("ar").places) > 10 and len(find("fi").places) == 1


def test_a_made_up_language_has_a_script_and_no_more():
    toki_pona = find("tok")
    assert (toki_pona.name, toki_pona.script) == ("Toki Pona", "Latn")
    assert (toki_pona.family, toki_pona.countries, toki_pona.places) == ((), frozenset(), ())


def test_a_code_that_nobody_knows_says_so_by_being_empty():
    unknown = find("qaa")  # for private use
    assert (unknown.name, unknown.script, unknown.family, unknown.countries) == ("qaa", "", (), frozenset())
    assert find("mis").family == ()


def test_what_is_no_code_is_refused():
    for code in ("xx", "qzz", "zxx", "und"):
        with pytest.raises(ValueError, match=f"ISO 639 has no language '{code}'"):
            find(code)
    with pytest.raises(ValueError, match="'kurdishsorani' is not a language code.*ckb"):
        find("kurdishsorani")
    for spelling in ("zh_HK", "CKB"):  # langcodes reads both; a release has no such folder
        with pytest.raises(ValueError, match=f"'{spelling}' is not spelt as Common Voice does"):
            find(spelling)
