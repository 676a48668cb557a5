"""What a model was made from, as people and the model hub call it: language, corpus, base model, licence."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from iso639 import Language, LanguageNotFoundError

from asr.params import Params

RELEASE = re.compile(r"cv-corpus-(\d+)\.(\d+)(-delta)?-\d{4}-\d{2}-\d{2}")
LAST_ON_THE_HUB = 17  # Common Voice's last release there: mozilla-foundation/common_voice_17_0
ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")
READ_ALOUD = "read speech: sentences that people read aloud into microphones of their own"
OF_THE_SAME = "of the same collection as what it was trained on"


@dataclass(frozen=True)
class Corpus:
    """A corpus, in words that may hold any character."""

    name: str  # with its release, where that is known
    detail: str  # what tells it from others: a checksum, a revision
    url: str | None
    hub_id: str | None  # of a dataset on the hub
    type: str  # for the hub's table of results: a dataset's id there, or the kind of corpus
    config: str | None
    revision: str | None
    speech: str  # what kind of speech the error rates are for
    terms: str


@dataclass(frozen=True)
class Base:
    """The checkpoint that training began with."""

    name: str  # of a folder, its last part only
    revision: str | None
    hub_id: str | None


def language_of(params: Params, given: str | None) -> tuple[str, str]:
    """Find the code (ISO 639-1 if it has one, else 639-3) and the English name of a corpus' language.

    Common Voice names it; of other corpora it has to be `given`. `model.language` is no answer: for a
    language that Whisper does not know, it names a relative.

    Raises
    ------
    ValueError: not given, or no such code.
    """
    download = params.download
    from_locale = download.locale if download.source in ("archive", "mdc", "sample") else None
    code = given or from_locale
    if not code:
        raise ValueError(
            f"nothing says which language the corpus of download.source={download.source} is in: give its"
            " ISO 639 code, such as --language dv"
        )
    subtag = re.split("[-_]", code.lower())[0]  # of zh-HK or rm-sursilv the hub wants no region
    try:
        if not re.fullmatch("[a-z]{2,3}", subtag):
            raise LanguageNotFoundError
        found = Language.match(subtag)
    except LanguageNotFoundError:
        raise ValueError(
            f"{code!r} is no ISO 639 code of a language: give one with --language, such as dv or nan"
        ) from None
    return found.part1 or found.part3, found.name


def corpus_of(params: Params) -> Corpus:
    """Describe the corpus that a run trained on."""
    download = params.download
    if download.source == "archive":
        return _release(download.archive, download.archive_sha256, download.locale)
    if download.source == "mdc":
        return Corpus(
            name=f"Mozilla Data Collective, dataset {download.mdc.dataset}",
            detail="a Common Voice release as the platform had it at the time of the run",
            url=f"https://mozilladatacollective.com/datasets/{quote(download.mdc.dataset, safe='')}",
            hub_id=None,
            type="common_voice",
            config=download.locale,
            revision=None,
            speech=READ_ALOUD,
            terms="its terms are on its page there; who downloaded it accepted them",
        )
    if download.source == "hub":
        hub = download.hub
        hub_id = hub.dataset if ON_THE_HUB.fullmatch(hub.dataset) else None
        return Corpus(
            name=f"{hub.dataset} (Hugging Face hub)",
            detail=f"revision {hub.revision}" if hub.revision else "no revision was pinned",
            url=hub_id and f"https://huggingface.co/datasets/{hub_id}",
            hub_id=hub_id,
            type=hub.dataset,
            config=hub.config,
            revision=hub.revision,
            speech=f"speech {OF_THE_SAME}",
            terms="its terms are on its page on the hub",
        )
    if download.source == "folder":
        name = Path(download.folder.path).name
        terms = "who recorded it has to say under which terms"
        return Corpus(
            f"recordings of its makers' own ({name})", "they are in no public place that the pipeline knows",
            None, None, "own-recordings", None, None, f"speech {OF_THE_SAME}", terms,
        )  # fmt: skip
    sample = download.sample
    return Corpus(
        name="synthetic Dhivehi (eSpeak NG's voices, number phrases)",
        detail=f"{sample.train_voices} voices, seed {sample.seed}; see the repository's docs/sample.md",
        url=None,
        hub_id=None,
        type="synthetic-dhivehi",
        config=None,
        revision=None,
        speech="synthetic speech, and say nothing about people's",
        terms="the pipeline has made it, with eSpeak NG",
    )


def _release(archive: str, sha256: str | None, locale: str) -> Corpus:
    """Describe an archive in Common Voice's layout; its name tells the release, if nobody has changed it."""
    file = PurePosixPath(archive).name
    release = RELEASE.match(file)
    major, minor, delta = release.groups() if release else ("0", "0", None)
    hub_id = f"mozilla-foundation/common_voice_{major}_{minor}"
    known = release and not delta and int(major) <= LAST_ON_THE_HUB
    return Corpus(
        name=f"Common Voice {major}.{minor}{delta or ''} ({release[0]})" if release else file,
        detail=f"archive {file}" + (f", sha256 {sha256}" if sha256 else ""),
        url=None,
        hub_id=hub_id if known else None,
        type=hub_id if known else "common_voice" if release else "archive",
        config=locale,
        revision=None,
        speech=READ_ALOUD,
        terms="Common Voice is CC0; who uses it undertakes not to find out who its speakers are"
        if release
        else "its terms are those of its publisher",
    )


def base_of(params: Params, recipe: Path) -> Base:
    """Describe the checkpoint that a run started from; the path of a folder is nobody's business."""
    name, revision = params.pretrained.name, params.pretrained.revision
    of_a_folder = (recipe / name).is_dir() or len(revision or "") == 64 or not ON_THE_HUB.fullmatch(name)
    return Base(Path(name).name if of_a_folder else name, revision, None if of_a_folder else name)


def licence_of(base: Base, given: str | None) -> str | None:
    """Name the model's licence as the hub does, such as apache-2.0; None if nobody has said.

    OpenAI's Whisper is Apache 2.0 on the hub. Another base has a licence of its own, which has to be `given`.
    """
    if given and not re.fullmatch(r"[a-z0-9.-]+", given):
        raise ValueError(
            f"--license {given!r}: it has to be one of the hub's names, such as apache-2.0 or mit"
        )
    return given or ("apache-2.0" if (base.hub_id or "").startswith("openai/whisper-") else None)
