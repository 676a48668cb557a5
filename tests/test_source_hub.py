import datasets
import pyarrow.parquet as parquet
import pytest
from datasets import Audio, Dataset, Features, Value

from asr.sources import hub
from tests.corpora import tone
from tests.fake_hub import COMMIT, Hub
from tests.recipes import checked_corpus
from tests.servers import reply

SPLITS = {"train": "train", "validation": None, "test": "test", "validated": None}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def repository(tmp_path):
    """A repository in parquet: train and test, the audio in the cells, as the hub's converter makes it."""
    folder = tmp_path / "repository"
    write(folder, "train", [(tone(hz=200), "0.flac", "އެކެއް", 7), (tone(hz=250), None, "ދޭއް", 7)])
    (tmp_path / "secret.flac").write_bytes(tone())
    outside = str(tmp_path / "secret.flac")
    write(folder, "test", [(tone(hz=300), "0.flac", "ތިނެއް", 8), (None, outside, "ހަތަރެއް", None)])
    return folder


HEARD = [tone(hz=200), tone(hz=250), tone(hz=300), b""]  # a path outside of the dataset is not read


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
    columns = {"audio": "clip", "sentence": "text", "speaker": "who"}
    values = {"dataset": str(folder), "splits": SPLITS, "columns": columns}
    return checked_corpus("hub", **values | changes)


def test_clips_have_their_audio_as_stored_and_file_names_where_those_tell_them_apart(repository):
    clips = list(hub.clips(params(repository)))
    assert [(clip.id, clip.split, clip.speaker, clip.sentence) for clip in clips] == [
        ("0.flac", "train", "7", "އެކެއް"),
        ("train-00000001", "train", "7", "ދޭއް"),
        ("test-00000000", "test", "8", "ތިނެއް"),
        ("secret.flac", "test", "", "ހަތަރެއް"),
    ]
    assert [clip.audio for clip in clips] == HEARD


def test_splits_may_be_slices_and_the_speaker_unknown(repository):
    splits = {"train": "train[:1]", "validation": "train[1:]", "test": "test[:1]", "validated": None}
    columns = {"audio": "clip", "sentence": "text", "speaker": None}
    clips = list(hub.clips(params(repository, splits=splits, columns=columns)))
    assert [(clip.split, clip.speaker) for clip in clips] == [("train", ""), ("validation", ""), ("test", "")]


def test_validated_recordings_of_no_other_split_come_too_if_their_split_is_named(repository):
    again, other = (tone(hz=300), "renamed.flac", "ތިނެއް", 8), (tone(hz=350), "0.flac", "ފަހެއް", 9)
    write(repository, "validated", [again, other, (None, "gone.flac", "x", 9), (None, "too.flac", "y", 9)])
    splits = SPLITS | {"validated": "validated"}
    clips = list(hub.clips(params(repository, splits=splits)))
    assert [(clip.id, clip.split, clip.sentence) for clip in clips[4:]] == [
        ("validated-00000001", "validated", "ފަހެއް"),
        ("gone.flac", "validated", "x"),
        ("too.flac", "validated", "y"),
    ]
    assert clips[4].audio == tone(hz=350)
    assert list(hub.clips(params(repository))) == clips[:4]


def test_links_alone_are_no_corpus(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / "links", split, [(None, "https://example.org/0.mp3", "x", 1)])
    with pytest.raises(FileNotFoundError, match="no row of column 'clip' has audio"):
        list(hub.clips(params(tmp_path / "links")))


def test_audio_is_not_decoded(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / "broken", split, [(b"not even audio", "0.wav", "x", 1)])
    assert next(hub.clips(params(tmp_path / "broken"))).audio == b"not even audio"


@pytest.fixture
def files(repository):
    """The repository, as it is on the hub."""
    tables = {str(path.relative_to(repository)): path.read_bytes() for path in repository.rglob("*.parquet")}
    return {"README.md": b"---\nlicense: cc0-1.0\n---\n"} | tables


def read(**changes):
    return [clip.audio for clip in hub.clips(params("owner/name", **changes))]


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_repository_is_fetched_once(online, files, revision):
    served = online(Hub(files))
    assert read(revision=revision) == read(revision=revision) == HEARD
    fetched = [path for method, path, _ in served.asked if method == "GET" and path.endswith(".parquet")]
    assert len(fetched) == 2


def test_an_audio_folder_is_read_as_it_is(online):
    tables = {s: f"file_name,text,who\n{s}.flac,x,1\n".encode() for s in ("train", "test")}
    audio = {"train/train.flac": tone(hz=200), "test/test.flac": tone(hz=201)}
    online(Hub(audio | {f"{split}/metadata.csv": table for split, table in tables.items()}))
    columns = {"audio": "audio", "sentence": "text", "speaker": "who"}
    clips = list(hub.clips(params("owner/name", columns=columns)))
    assert [(clip.id, clip.split, clip.speaker, clip.audio) for clip in clips] == [
        (f"{split}.flac", split, "1", audio[f"{split}/{split}.flac"]) for split in ("train", "test")
    ]


def test_a_transfer_that_breaks_off_is_gone_on_with_by_the_next_run(online, files):
    served = online(Hub(files))
    served.faults.extend([served.breaks(10**6), *[served.breaks(0)] * 6])
    with pytest.raises(ConnectionError, match=r"the transfer broke off \(\w+\). With a network, run again"):
        read()
    assert read() == HEARD


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dataset": "/no/such/folder"}, "'/no/such/folder'"),
        ({"dataset": "owner/other"}, "'owner/other'.*doesn't exist on the Hub or cannot be accessed"),
        ({"revision": "v9"}, "revision v9.*Revision 'v9' doesn't exist"),
        ({"revision": "0" * 40}, "Revision '0000.* doesn't exist"),
    ],
)
def test_what_is_not_on_the_hub(online, files, changes, message):
    online(Hub(files))
    with pytest.raises(FileNotFoundError, match=f"(?s){message}.*hf auth login.*make sample"):
        hub.clips(params(changes.pop("dataset", "owner/name"), **changes))


@pytest.mark.parametrize("sent", [None, "hf_another"])
def test_a_gated_repository_says_how_to_get_in(online, files, monkeypatch, sent):
    served = online(Hub(files, token="hf_right"))
    if sent:
        monkeypatch.setenv("HF_TOKEN", sent)
    with pytest.raises(FileNotFoundError, match="(?s)gated.*accept its terms on its page.*HF_TOKEN") as error:
        read()
    assert "hf_another" not in str(error.value)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert read() == HEARD
    assert served.asked[-1][2] == "Bearer hf_right"


def test_names_that_are_not_in_the_repository_are_listed(online, files):
    online(Hub(files))
    with pytest.raises(ValueError, match=r"(?s)config dv.*not found. Available: \['default'\]"):
        read(config="dv")
    with pytest.raises(ValueError, match=r"split 'dev'.*Should be one of \['train', 'test'\]"):
        read(splits=SPLITS | {"validation": "dev"})
    with pytest.raises(ValueError, match="no column wav among clip, text, who: set columns"):
        read(columns={"audio": "wav", "sentence": "text", "speaker": "who"})


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble(online, status):
    online(lambda handler: reply(handler, status))
    with pytest.raises(ConnectionError, match=f"the hub says {status}. With a network, run again"):
        read()


def test_a_token_that_is_no_longer_good(online, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    online(lambda handler: reply(handler, 401, X_Error_Message="Invalid credentials in Authorization header"))
    with pytest.raises(OSError, match="hf auth login"):
        read()


def test_another_commit_in_the_cache_is_not_taken_for_the_one_asked_for(online, files):
    online(Hub(files))
    assert read(revision=COMMIT) == HEARD
    online(lambda handler: reply(handler, 500))
    with pytest.raises(ConnectionError, match=f"does not give revision 1111.*the cache has {COMMIT} only"):
        read(revision="1" * 40)
    assert read(revision=COMMIT) == HEARD


def test_a_damaged_table_and_a_repository_without_any(online, files):
    online(Hub(files | {"data/train-00000-of-00001.parquet": b"damaged"}))
    with pytest.raises(ValueError, match="'owner/name'.*Parquet"):
        read()
    online(Hub({"README.md": b""}))
    with pytest.raises(FileNotFoundError, match="doesn't contain any data files"):
        read()


def test_columns_of_another_kind(online, files):
    online(Hub(files))
    with pytest.raises(ValueError, match=r"column who holds Value\(.*int64.*\), no audio"):
        read(columns={"audio": "who", "sentence": "text", "speaker": None})
    with pytest.raises(ValueError, match=r"column who holds Value\(.*int64.*\), no sentences"):
        read(columns={"audio": "clip", "sentence": "who", "speaker": None})


def test_fewer_rows_than_the_repository_says_are_not_taken_for_all(online, files):
    splits = [f"  - name: {name}\n    num_examples: 3\n    num_bytes: 9\n" for name in ("train", "test")]
    card = f"---\ndataset_info:\n  splits:\n{''.join(splits)}---\n"
    online(Hub(files | {"README.md": card.encode()}))
    with pytest.raises(ValueError, match="'owner/name'.*num_examples=3"):
        read()


def test_a_script_on_the_hub_is_not_run(online, files):
    online(Hub(files | {"name.py": b"raise SystemExit('was run')"}))
    with pytest.raises(ValueError, match="needs a script of its own, which is not run"):
        read()
