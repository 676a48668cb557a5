"""What a model was made from, in the hub's terms: language, corpus, base model, licence."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from iso639 import Language, LanguageNotFoundError

from asr.params import Archive, Corpus, Folder, Hub, Mdc, Pretrained

RELEASE = re.compile(r"(cv|sps)-corpus-(\d+)\.(\d+)(-delta)?-\d{4}-\d{2}-\d{2}")
LAST_ON_THE_HUB = 17  # Common Voice's last release there: mozilla-foundation/common_voice_17_0
ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")
READ_ALOUD = "read speech: sentences that people read aloud into microphones of their own"
SPONTANEOUS = "spontaneous speech: answers that people gave to questions into microphones of their own"
OF_THE_SAME = "of the same collection as what it was trained on"


@dataclass(frozen=True)
class Description:
    """A corpus in the hub's terms. The texts may have any character."""

    name: str  # with its release, if known
    detail: str  # a checksum or a revision
    type: str  # in the hub's table of results: a dataset's id there, or the kind of corpus
    speech: str  # the kind of speech that the error rates are for
    terms: str  # of use
    url: str | None = None
    hub_id: str | None = None  # of a dataset on the hub
    config: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Base:
    """The checkpoint that training began with."""

    name: str  # of a folder, only its last part
    revision: str | None
    hub_id: str | None


def language_of(corpora: dict[str, Corpus], given: str | None) -> tuple[str, str]:
    """Return the corpora's language: its ISO 639-1 code, or else its 639-3 code, and its English name.

    Without a language `given`, it is that of their `locale`. `model.language` may be a relative's.

    Raises
    ------
    ValueError: the language is not given and not recorded, or there is no such code.
    """
    code = given or locale_of(corpora)
    if not code:
        raise ValueError(
            "the corpora have no locale, or several: set `locale` in params.yaml, or give the language's ISO"
            " 639 code, such as --language dv"
        )
    subtag = re.split("[-_]", code.lower())[0]  # zh of zh-HK: the hub takes no region
    try:
        if not re.fullmatch("[a-z]{2,3}", subtag):
            raise LanguageNotFoundError
        found = Language.match(subtag)
    except LanguageNotFoundError:
        raise ValueError(
            f"{code!r} is not an ISO 639 code: give one with --language, such as dv or nan"
        ) from None
    return found.part1 or found.part3, found.name


def locale_of(corpora: dict[str, Corpus]) -> str | None:
    """Return the locale of all corpora that name one, or None if they name none or several."""
    locales = {corpus.locale for corpus in corpora.values()} - {None}
    return locales.pop() if len(locales) == 1 else None


def name_of_language(corpora: dict[str, Corpus]) -> str | None:
    """Return the English name of the corpora's language, or None if they do not record it."""
    try:
        return language_of(corpora, None)[1]
    except ValueError:
        return None


def describe(corpus: Corpus) -> Description:
    """Describe a corpus of params.yaml."""
    if isinstance(corpus, Archive):
        return _release(corpus.path, corpus.sha256, corpus.locale)
    if isinstance(corpus, Mdc):
        return Description(
            name=f"Mozilla Data Collective, dataset {corpus.dataset}",
            detail="a Common Voice release as the platform had it at the time of the run",
            type="common_voice",
            speech=f"speech {OF_THE_SAME}",
            terms="its terms are on its page there; who downloaded it accepted them",
            url=f"https://mozilladatacollective.com/datasets/{quote(corpus.dataset, safe='')}",
            config=corpus.locale,
        )
    if isinstance(corpus, Hub):
        hub_id = corpus.dataset if ON_THE_HUB.fullmatch(corpus.dataset) else None
        return Description(
            name=f"{corpus.dataset} (Hugging Face hub)",
            detail=f"revision {corpus.revision}" if corpus.revision else "no revision was pinned",
            type=corpus.dataset,
            speech=f"speech {OF_THE_SAME}",
            terms="its terms are on its page on the hub",
            url=hub_id and f"https://huggingface.co/datasets/{hub_id}",
            hub_id=hub_id,
            config=corpus.config,
            revision=corpus.revision,
        )
    if isinstance(corpus, Folder):
        return Description(
            name=f"own recordings ({Path(corpus.path).name})",
            detail="they are not public, as far as the pipeline knows",
            type="own-recordings",
            speech=f"speech {OF_THE_SAME}",
            terms="its terms are those of the people who recorded it",
        )
    return Description(
        name="synthetic Dhivehi (eSpeak NG's voices, number phrases)",
        detail=f"{corpus.train_voices} voices, seed {corpus.seed}; see the repository's docs/sample.md",
        type="synthetic-dhivehi",
        speech="synthetic speech, and say nothing about people's",
        terms="it was made by the pipeline, with eSpeak NG",
    )


def _release(archive: str, sha256: str | None, locale: str) -> Description:
    """Describe an archive in Common Voice's layout. Its original name, or a folder's, tells the release."""
    path = PurePosixPath(archive)
    file = next(filter(RELEASE.match, reversed(path.parts)), path.name)
    detail = f"archive {file}" + (f", sha256 {sha256}" if sha256 else "")
    release = RELEASE.match(file)
    if not release:
        terms = "its terms are those of its publisher"
        return Description(file, detail, "archive", f"speech {OF_THE_SAME}", terms, config=locale)
    kind, major, minor, delta = release.groups()
    hub_id = f"mozilla-foundation/common_voice_{major}_{minor}"
    known = kind == "cv" and not delta and int(major) <= LAST_ON_THE_HUB
    return Description(
        name=f"Common Voice {'' if kind == 'cv' else 'Spontaneous Speech '}{major}.{minor}{delta or ''}"
        f" ({release[0]})",
        detail=detail,
        type=hub_id if known else "common_voice",
        speech=READ_ALOUD if kind == "cv" else SPONTANEOUS,
        terms="Common Voice is CC0; its users agree not to identify its speakers",
        hub_id=hub_id if known else None,
        config=locale,
    )


def base_of(pretrained: Pretrained, recipe: Path) -> Base:
    """Describe the checkpoint that a run started from. The path of a local folder stays private."""
    name, revision = pretrained.name, pretrained.revision
    of_a_folder = (recipe / name).is_dir() or len(revision or "") == 64 or not ON_THE_HUB.fullmatch(name)
    return Base(Path(name).name if of_a_folder else name, revision, None if of_a_folder else name)


def licence_of(base: Base, given: str | None) -> str | None:
    """Return the model's licence in the hub's terms, such as apache-2.0; None if it is unknown.

    OpenAI's Whisper is Apache 2.0 on the hub. For another base model the licence has to be `given`.
    """
    if given and not re.fullmatch(r"[a-z0-9.-]+", given):
        raise ValueError(f"--license {given!r}: expected one of the hub's names, such as apache-2.0 or mit")
    return given or ("apache-2.0" if (base.hub_id or "").startswith("openai/whisper-") else None)
