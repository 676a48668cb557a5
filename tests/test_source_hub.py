import datasets
import pyarrow.parquet as parquet
import pytest
from datasets import Audio, Dataset, Features, Value

from asr.params import HubSource
from asr.sources import hub
from tests.corpora import tone

SPLITS = {"train": "train", "validation": None, "test": "test", "validated": None}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def repository(tmp_path):
    """A repository in parquet: train and test, the audio in the cells, as the hub's converter makes it."""
    folder = tmp_path / "repository"
    write(folder, "train", [(tone(hz=200), "0.flac", "އެކެއް", 7), (tone(hz=250), None, "ދޭއް", 7)])
    (tmp_path / "secret.flac").write_bytes(tone())
    outside = str(tmp_path / "secret.flac")
    write(folder, "test", [(tone(hz=300), "0.flac", "ތިނެއް", 8), (None, outside, "ހަތަރެއް", None)])
    return folder


def write(folder, split, rows):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    features = Features(
        {
            "clip": {"bytes": Value("binary"), "path": Value("string")},
            "text": Value("string"),
            "who": Value("int64"),
        }
    )
    table = Dataset.from_list(
        [{"clip": {"bytes": data, "path": path}, "text": text, "who": who} for data, path, text, who in rows],
        features=features,
    ).cast_column("clip", Audio())  # the type that the hub's own datasets have
    parquet.write_table(table.data.table, folder / "data" / f"{split}-00000-of-00001.parquet")


def params(folder, **changes):
    values = {
        "dataset": str(folder),
        "config": None,
        "revision": None,
        "splits": SPLITS,
        "columns": {"audio": "clip", "sentence": "text", "speaker": "who"},
    }
    return HubSource.model_validate(values | changes)


def test_audio_comes_through_as_it_is_stored(repository):
    clips = list(hub.clips(params(repository), False))
    assert [(clip.split, clip.speaker, clip.sentence) for clip in clips] == [
        ("train", "7", "އެކެއް"), ("train", "7", "ދޭއް"), ("test", "8", "ތިނެއް"), ("test", "", "ހަތަރެއް")
    ]  # fmt: skip
    assert [clip.audio for clip in clips[:3]] == [tone(hz=200), tone(hz=250), tone(hz=300)]


def test_ids_are_file_names_where_those_tell_clips_apart(repository):
    ids = [clip.id for clip in hub.clips(params(repository), False)]
    assert ids == ["0.flac", "train-00000001", "test-00000000", "secret.flac"]


def test_a_path_outside_of_the_dataset_is_not_read(repository):
    assert list(hub.clips(params(repository), False))[-1].audio == b""


def test_splits_may_be_slices_and_the_speaker_unknown(repository):
    clips = list(
        hub.clips(
            params(
                repository,
                splits=SPLITS | {"train": "train[:1]", "validation": "train[1:]", "test": "test[:1]"},
                columns={"audio": "clip", "sentence": "text", "speaker": None},
            ),
            False,
        )
    )
    assert [(clip.split, clip.speaker) for clip in clips] == [("train", ""), ("validation", ""), ("test", "")]


def test_validated_recordings_of_no_other_split_come_too_if_asked_for(repository):
    again, other = (tone(hz=300), "renamed.flac", "ތިނެއް", 8), (tone(hz=350), "0.flac", "ފަހެއް", 9)
    write(repository, "validated", [again, other, (None, "gone.flac", "x", 9), (None, "too.flac", "y", 9)])
    splits = SPLITS | {"validated": "validated"}
    clips = list(hub.clips(params(repository, splits=splits), True))
    assert [(clip.id, clip.split, clip.sentence) for clip in clips[4:]] == [
        ("validated-00000001", "validated", "ފަހެއް"),
        ("gone.flac", "validated", "x"),
        ("too.flac", "validated", "y"),
    ]
    assert clips[4].audio == tone(hz=350)
    assert list(hub.clips(params(repository, splits=splits), False)) == clips[:4]


def test_a_validated_split_has_to_be_named(repository):
    with pytest.raises(ValueError, match="download.hub.splits.validated is null: name"):
        hub.clips(params(repository), True)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"columns": {"audio": "audio", "sentence": "text", "speaker": "client_id"}},
         "no column audio, client_id among clip, text, who: set download.hub.columns"),
        ({"splits": SPLITS | {"validation": "dev"}}, "split 'dev'.*[Uu]nknown"),
        ({"config": "dv"}, "config dv"),
    ],
)  # fmt: skip
def test_names_that_are_not_there_are_listed(repository, changes, message):
    with pytest.raises(ValueError, match=message):
        hub.clips(params(repository, **changes), False)


def test_a_missing_dataset_says_how_to_go_on(tmp_path):
    with pytest.raises(FileNotFoundError, match="(?s)none.*hf auth login.*make sample"):
        hub.clips(params(tmp_path / "none"), False)


def test_an_unreachable_hub_says_how_to_go_on():
    with pytest.raises(ConnectionError, match="(?s)'owner/name'.*cannot be reached.*make sample"):
        hub.clips(params("owner/name"), False)


def test_a_gated_dataset_says_how_to_log_in(monkeypatch):
    def gated(*args, **kwargs):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/name' is a gated dataset on the Hub.")

    monkeypatch.setattr(hub, "load_dataset", gated)
    with pytest.raises(FileNotFoundError, match="(?s)gated.*accept its terms.*HF_TOKEN"):
        hub.clips(params("owner/name"), False)


def test_a_script_is_not_run(tmp_path):
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ValueError, match="needs a script of its own, which is not run"):
        hub.clips(params(folder), False)


def test_an_audio_folder_is_sent_to_the_folder_source(tmp_path):
    folder = tmp_path / "audiofolder"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        (folder / split / "0.flac").write_bytes(tone())
        (folder / split / "metadata.csv").write_text("file_name,text,who\n0.flac,x,1\n")
    with pytest.raises(ValueError, match="download.source=folder with its metadata.csv"):
        hub.clips(params(folder, columns={"audio": "audio", "sentence": "text", "speaker": "who"}), False)


def test_links_alone_are_no_corpus(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / "links", split, [(None, "https://example.org/0.mp3", "x", 1)])
    with pytest.raises(FileNotFoundError, match="no row of column 'clip' has audio"):
        list(hub.clips(params(tmp_path / "links"), False))


def test_audio_is_not_decoded(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / "broken", split, [(b"not even audio", "0.wav", "x", 1)])
    assert next(hub.clips(params(tmp_path / "broken"), False)).audio == b"not even audio"
