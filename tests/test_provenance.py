"""What corpora, languages and base models are called, and what of their paths is kept back."""

import pytest
import yaml

from asr import provenance
from asr.params import Params
from tests.recipes import REPOSITORY, changed, corpus


def params(**changes):
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    return Params.model_validate(changed(tree, {name.replace("__", "."): v for name, v in changes.items()}))


def corpora(*of):
    return params(corpora={f"c{n}": one for n, one in enumerate(of)}).corpora


def described(source, **changes):
    return provenance.describe(corpora(corpus(source, **changes))["c0"])


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("dv", ("dv", "Dhivehi")),
        ("it", ("it", "Italian")),
        ("zh-HK", ("zh", "Chinese")),
        ("rm-sursilv", ("rm", "Romansh")),
        ("nan-tw", ("nan", "Min Nan Chinese")),
        ("div", ("dv", "Dhivehi")),
        ("hsb", ("hsb", "Upper Sorbian")),
    ],
)
def test_the_language_of_a_release(locale, expected):
    assert provenance.language_of(corpora(corpus("archive", locale=locale)), None) == expected


def test_the_language_that_is_given_goes_before():
    assert provenance.language_of(params().corpora, "ckb") == ("ckb", "Central Kurdish")


@pytest.mark.parametrize("given", ["dhivehi", "Dhivehi", "xx", "d", "", "dv\nlicense: mit"])
def test_what_is_no_language(given):
    with pytest.raises(ValueError, match="ISO 639 code"):
        provenance.language_of(corpora(corpus("folder")), given)


@pytest.mark.parametrize("locales", [[None], ["dv", "si"]])
def test_corpora_that_do_not_say_their_language(locales):
    """`model.language` may be a relative's."""
    of = corpora(*(corpus("folder", locale=locale) for locale in locales))
    with pytest.raises(ValueError, match="no locale, or several: .*--language dv"):
        provenance.language_of(of, None)
    assert provenance.name_of_language(of) is None


HUB = "mozilla-foundation/common_voice_"


@pytest.mark.parametrize(
    ("archive", "name", "hub_id"),
    [
        ("corpora/cv-corpus-13.0-2023-03-09-dv.tar.gz", "Common Voice 13.0 (cv-", f"{HUB}13_0"),
        ("/home/somebody/cv-corpus-16.1-2023-12-06-it.tar.gz", "Common Voice 16.1 (cv-", f"{HUB}16_1"),
        ("cv-corpus-22.0-2025-06-20-dv.tar.gz", "Common Voice 22.0 (cv-corpus-22.0-2025-06-20)", None),
        ("cv-corpus-12.0-delta-2022-12-07-dv.tar.gz", "Common Voice 12.0-delta (cv-corpus-12.0-del", None),
        ("/home/somebody/cv-corpus-9.0-2022-04-27/dv/", "Common Voice 9.0 (cv-", f"{HUB}9_0"),
        ("sps-corpus-5.0-2026-09-11-dv.tar.gz", "Common Voice Spontaneous Speech 5.0 (sps-", None),
        ("/home/somebody/it.tar.gz", "it.tar.gz", None),
    ],
)
def test_an_archive(archive, name, hub_id):
    found = described("archive", path=archive, sha256="9" * 64)
    kind = "common_voice" if "-corpus" in archive else "archive"
    assert found.name.startswith(name)
    assert (found.hub_id, found.type, found.config) == (hub_id, hub_id or kind, "dv")
    assert "sha256 9999" in found.detail
    assert "home" not in str(found)
    assert ("CC0" in found.terms) == ("-corpus" in archive)
    said = {"cv": "read speech", "sps": "spontaneous speech", "it": "speech of the same"}
    assert found.speech.startswith(said[found.name.partition("(")[2].partition("-")[0] or "it"])


def test_an_archive_that_was_not_checked():
    assert "sha256" not in described("archive").detail


def test_a_dataset_on_the_hub():
    found = described("hub", dataset="google/fleurs", config="dv_mv", revision="a" * 40)
    assert (found.hub_id, found.type, found.config) == ("google/fleurs", "google/fleurs", "dv_mv")
    assert found.url == "https://huggingface.co/datasets/google/fleurs" and "a" * 40 in found.detail


def test_recordings_of_one_s_own_do_not_tell_where_they_lie():
    found = described("folder", path="/home/me/island")
    assert "island" in found.name and "/home" not in str(found)
    assert found.hub_id is None


def test_the_data_collective_s_page_is_an_address_whatever_the_dataset_is_called():
    found = described("mdc", dataset="a) [b](c/d")
    assert found.url == "https://mozilladatacollective.com/datasets/a%29%20%5Bb%5D%28c%2Fd"


@pytest.mark.parametrize(
    ("name", "revision", "hub_id", "shown"),
    [
        ("openai/whisper-small", "a" * 40, "openai/whisper-small", "openai/whisper-small"),
        ("models/mine", "b" * 64, None, "mine"),  # a folder's revision is a sha256
        ("/home/somebody/whisper", None, None, "whisper"),
        ("there/it-is", None, None, "it-is"),
    ],
)
def test_a_base_model(tmp_path, name, revision, hub_id, shown):
    (tmp_path / "there/it-is").mkdir(parents=True)
    pretrained = params(pretrained__name=name, pretrained__revision=revision).pretrained
    base = provenance.base_of(pretrained, tmp_path)
    assert (base.hub_id, base.name) == (hub_id, shown)


def test_the_licence_is_the_base_model_s_unless_it_is_given():
    openai = provenance.Base("openai/whisper-base", None, "openai/whisper-base")
    folder = provenance.Base("whisper-base", None, None)
    assert provenance.licence_of(openai, None) == "apache-2.0"
    assert provenance.licence_of(openai, "cc-by-4.0") == "cc-by-4.0"
    assert provenance.licence_of(folder, None) is None
    with pytest.raises(ValueError, match="one of the hub's names"):
        provenance.licence_of(folder, "mit\nlanguage: en")
