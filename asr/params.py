"""`params.yaml`, checked: one frozen model per section, no defaults, every mistake reported at once.

DVC sees a change of a parameter only if it stands in the file, so nothing here has a default.
The values are under `params` in dvc.yaml, and this module is not among the dependencies of any stage. So it
must not change an output: validators refuse a value or convert its type, and never put another in its place.
"""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

WAYS_ON = """Ways on (docs/corpora.md):
  - you have the corpus: move it there, or set path
  - it has an address: `dvc get-url https://…` and that path
  - Mozilla Data Collective, which has the new releases of Common Voice: source: mdc
  - a dataset repository on the model hub: source: hub
  - your own recordings: source: folder
  - no corpus at all: `make sample` runs the whole pipeline on a synthetic one"""
PLACEHOLDER = "README.md"  # of corpora/: a file that never changes, because DVC takes no null
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def _no_address(value: str) -> str:
    if "://" in value:  # with a login or a signature in it, perhaps, and git keeps params.yaml and dvc.lock
        raise ValueError(
            "an address is not accepted, only a name or a path: bring the file with `dvc get-url` or a"
            " browser, and give its path"
        )
    return value


Place = Annotated[str, AfterValidator(_no_address)]


def _auto_or(numbers: str, fits: Callable[[float], bool]) -> AfterValidator:
    def check(value: float | str) -> float | str:
        if value != "auto" and not (isinstance(value, float) and fits(value)):
            raise ValueError(f"it is {value!r}: give {numbers}, or auto")
        return value

    return AfterValidator(check)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Source(Section):
    """What is known of every corpus. DVC brings one in again when what is at its `path` changes."""

    path: Place  # file or folder; of what is brought over the network, or made, one that never changes
    use: Literal["train", "test", "both"]
    locale: str | None  # of its speech, such as dv; the model card names the language


class Release(Source):
    locale: str  # train.tsv is in a folder of that name, or there is a table ss-corpus-LOCALE.tsv
    test_fraction: Fraction  # of the speakers, where a release has no test split
    add_validated: bool  # whether clips of validated.tsv beyond the three splits come too


class Archive(Release):
    source: Literal["archive"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None


class Mdc(Release):
    source: Literal["mdc"]
    dataset: Place  # id or slug on Mozilla Data Collective


class HubSplits(Section):
    train: str | None
    validation: str | None
    test: str | None
    validated: str | None  # clips to add to training, which nobody has kept apart from the other splits


class HubColumns(Section):
    audio: str
    sentence: str
    speaker: str | None


class Hub(Source):
    source: Literal["hub"]
    dataset: Place  # owner/name
    config: str | None
    revision: str | None
    splits: HubSplits
    columns: HubColumns


class FolderColumns(Section):
    audio: str | None  # file, relative to the folder. null of any: found by its usual names
    sentence: str | None
    speaker: str | None
    split: str | None  # train, validation, test or validated; no such column: `test_fraction` of the speakers
    start: str | None  # of a text in a recording that has several, in seconds or hh:mm:ss.mmm
    end: str | None
    duration: str | None  # instead of an end


class Folder(Source):
    source: Literal["folder"]
    table: str | None  # relative to the folder; null: what it has, a layout of docs/corpora.md
    columns: FolderColumns
    tiers: str | list[str] | None  # of annotations: names or patterns; null: those that hold transcripts
    test_fraction: Fraction


class Sample(Source):
    source: Literal["sample"]
    train_clips: Positive
    train_voices: Positive
    test_clips: Positive
    test_voices: Positive
    bad_clips: Count  # of each kind: over-long, empty, broken, without a sentence
    seed: int


SOURCES = {"archive": Archive, "mdc": Mdc, "hub": Hub, "folder": Folder, "sample": Sample}
# DVC names stages and `-S` names parameters by it.
CorpusName = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
Corpus = Annotated[Archive | Mdc | Hub | Folder | Sample, Field(discriminator="source")]


class Pretrained(Section):
    name: Place  # on the model hub, or a folder
    revision: str | None  # commit on the hub; of a folder, the sha256 of its weight files, joined


class Model(Section):
    language: str  # one that Whisper's tokenizer knows
    task: Literal["transcribe", "translate"]
    audio_window_s: Annotated[int, Field(ge=1, le=30)]
    extend_tokenizer: Count  # tokens to learn from the training transcripts; 0: none
    keep_tags: bool  # of asr/scoring/text.py, in what is trained on


class Featurize(Section):
    sampling_rate: Positive  # Hz


class Filter(Section):
    max_duration_s: Annotated[float, Field(gt=0)]
    max_characters_per_s: Annotated[float | str, _auto_or("a number above 0", lambda x: x > 0)] | None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)]  # of all clips; what is bad is in features.PROBLEMS
    seed: int


class SpecAugment(Section):
    """SpecAugment (Park et al. 2019), under the names of `WhisperConfig`; off where a probability is 0."""

    mask_time_prob: Fraction  # of a clip's own frames, the padding not counted
    mask_time_length: Positive  # frames
    mask_time_min_masks: Count
    mask_feature_prob: Fraction  # of the mel channels
    mask_feature_length: Positive  # mel channels
    mask_feature_min_masks: Count


class Lora(Section):
    """Low-rank adapters (Hu et al. 2021), under the names of `peft.LoraConfig`."""

    r: Count  # 0: no adapters, all weights are trained
    lora_alpha: Positive
    lora_dropout: Fraction
    # Not the embeddings: they are the output layer too, where a merged adapter would be another one.
    target_modules: Annotated[
        list[Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]], Field(min_length=1)
    ]


class Train(Section):
    """Trainer settings under Hugging Face's names (`Seq2SeqTrainingArguments`, `WhisperConfig`), and ours.

    Ours are `precision`, `num_processes`, `freeze_encoder`, `speed_perturbation`, `full_window_fraction`,
    `soup`, and `auto` for `label_smoothing_factor`.
    """

    seed: int
    soup: Positive
    num_processes: Positive
    max_steps: Positive
    per_device_train_batch_size: Positive
    per_device_eval_batch_size: Positive
    gradient_accumulation_steps: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    # Those of Hugging Face's that need no more settings.
    lr_scheduler_type: Literal[
        "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial",
        "inverse_sqrt", "reduce_lr_on_plateau",
    ]  # fmt: skip
    warmup_steps: Count
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    precision: Literal["auto", "fp32", "fp16", "bf16"]
    padding: Literal["longest", "max_length"]
    full_window_fraction: Annotated[float, Field(ge=0, le=1)]
    gradient_checkpointing: bool
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"]
    label_smoothing_factor: Annotated[
        float | str, _auto_or("a number from 0 to less than 1", lambda x: 0 <= x < 1)
    ]
    dropout: Fraction
    attention_dropout: Fraction
    activation_dropout: Fraction
    freeze_encoder: bool
    speed_perturbation: Annotated[list[Annotated[float, Field(ge=0.5, le=2)]], Field(min_length=1)]
    spec_augment: SpecAugment
    lora: Lora
    eval_steps: Positive
    save_steps: Positive
    save_total_limit: Positive
    logging_steps: Positive
    metric_for_best_model: Literal["wer", "wer_ortho", "wer_whisper_basic", "cer", "loss"]
    early_stopping_patience: Positive | None
    early_stopping_threshold: Annotated[float, Field(ge=0)]
    generation_max_length: Positive
    dataloader_num_workers: Count
    report_to: Literal["none", "tensorboard"]

    @model_validator(mode="after")
    def _saves_are_evaluated(self) -> "Train":
        if self.save_steps % self.eval_steps:
            raise ValueError(
                f"save_steps is {self.save_steps}, and has to be a multiple of eval_steps, {self.eval_steps}"
            )
        return self

    @model_validator(mode="after")
    def _warmup_is_scheduled(self) -> "Train":
        if self.lr_scheduler_type == "constant" and self.warmup_steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, which a constant rate does not have: set it to 0, or"
                " lr_scheduler_type to constant_with_warmup"
            )
        return self


class LanguageModel(Section):
    """N-grams of a text, which help to choose among what the fine-tuned model hears."""

    path: Place  # a text file, or a folder of .txt files; DVC counts again when it changes
    order: Annotated[int, Field(ge=0, le=10)]  # ids in an n-gram; 0: no language model

    @model_validator(mode="after")
    def _text_is_named(self) -> "LanguageModel":
        if self.order and Path(self.path).name == PLACEHOLDER:
            raise ValueError(
                f"order is {self.order}, but path is still {self.path}, which is no text of the language:"
                " set path to yours, a file or a folder of .txt files, or order to 0"
            )
        return self


class Transcribe(Section):
    num_processes: Positive
    batch_size: Positive
    max_new_tokens: Annotated[int, Field(ge=1, le=444)]  # Whisper's 448 positions less the prompt's four
    num_beams: Positive
    language_model: LanguageModel


class Evaluate(Section):
    bootstrap_samples: Annotated[int, Field(ge=100)]
    seed: int


class Params(Section):
    corpora: Annotated[dict[CorpusName, Corpus], Field(min_length=1)]
    pretrained: Pretrained
    model: Model
    featurize: Featurize
    filter: Filter
    train: Train
    transcribe: Transcribe
    evaluate: Evaluate


def read_yaml(text: str) -> object:
    """Read YAML 1.2 as DVC does: `no` and `off` are strings, `1e-5` is a number.

    Raises
    ------
    YAMLError: it is not valid YAML.
    """
    return YAML(typ="safe", pure=True).load(text)  # whose errors show the line


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check all of `params.yaml`.

    A stage uses the sections that its `dvc.yaml` entry declares, no others (tests/test_pipeline.py).

    Raises
    ------
    FileNotFoundError: there is no such file in the current folder.
    ValueError: names every missing, unknown and ill-typed key.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"no {path} in {Path.cwd()}: go to a recipe's folder, such as the repository's root or sample/"
        )
    try:
        return Params.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = [_explain(mistake) for mistake in error.errors()]
        errors = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        raise ValueError("\n  ".join([f"{path}: {errors}", *lines])) from None


def require_paths(corpora: dict[str, Corpus]) -> None:
    """Raise a FileNotFoundError if there is nothing at a corpus' path and it has not been brought in yet."""
    for name, corpus in corpora.items():
        if not Path(corpus.path).exists() and not Path("data/raw", name).exists():
            raise FileNotFoundError(
                f"corpora.{name}.path: no file or folder {Path(corpus.path).absolute()}. {WAYS_ON}"
            )


def _explain(mistake: dict) -> str:
    """Say in one line where a mistake is, what was found and what was expected."""
    # Of a corpus, pydantic names the source too, which is no key.
    keys = [
        str(part) for place, part in enumerate(mistake["loc"]) if (mistake["loc"][0], place) != ("corpora", 2)
    ]
    where = ".".join(keys)
    if not where:
        return "the file is empty, or has no sections such as `train`: `git restore` it, or copy the root's"
    if mistake["type"] == "missing":
        return f"{where} is missing"
    if mistake["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(mistake["loc"][-1]), _keys_beside(mistake["loc"]), n=1)
        return f"{where} is unknown" + (f"; did you mean {near[0]}?" if near else "")
    if mistake["type"] == "union_tag_not_found":
        return f"{where}.source is missing: it is one of {', '.join(SOURCES)}"
    if mistake["type"] == "union_tag_invalid":
        return f"{where}.source is {mistake['ctx']['tag']!r}, which is none of {', '.join(SOURCES)}"
    if mistake["type"] == "value_error":
        return f"{where}: {mistake['ctx']['error']}"
    message = mistake["msg"][0].lower() + mistake["msg"][1:]
    return f"{where} is {mistake['input']!r}: {message}"


def _keys_beside(location: tuple) -> list[str]:
    """List the keys that the model knows where an unknown one was found."""
    if location[0] == "corpora" and len(location) > 3:
        model, location = SOURCES[location[2]], location[3:]
    else:
        model = Params
    for part in location[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
