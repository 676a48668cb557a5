"""The command as it is typed, in a repository like this one, and the recipe that it writes, run by DVC."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from asr.commands.new_language import cli, corpus, proposal
from asr.commands.new_language.corpus import find_archive, read_lines
from asr.commands.new_language.proposal import NEWEST, RATES, find_processor, usable
from asr.commands.new_language.relatives import nearest
from asr.params import load_params
from tests.corpora import release, tone, tsv, unpack, write_archive
from tests.fake_hub import COMMIT, Hub
from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT, Repository, build

MODEL = REPOSITORY / "sample/base"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A repository with the root's recipe, and a release of Dhivehi beside it."""
    root = tmp_path_factory.mktemp("repository")
    build(root, {})
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(REPOSITORY / name, root / name)
    write_archive(root / "corpora/cv-corpus-1.0-dv.tar.gz", release())
    return root


def typed(root, *args: str) -> subprocess.CompletedProcess:
    command = ["python", "-m", "asr", "new-language", *args]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.fixture
def run(root, monkeypatch, capsys):
    """A function that runs the command in this process, which has the tables of languages already."""
    monkeypatch.chdir(root)
    package = "asr.commands.new_language"
    for module in (
        "asr.runtime.errors",
        f"{package}.proposal",
        f"{package}.corpus",
        "asr.commands.check.settings",
    ):
        monkeypatch.setattr(f"{module}.CODE", root)

    def run(*args: str) -> str:
        cli.main([*args])
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def dhivehi(root):
    """The recipe that is written with nothing but a locale and a checkpoint."""
    done = typed(root, "dv", "--model", str(MODEL))
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=root / "recipes/dv", output=done.stdout)


def test_the_release_in_corpora_is_taken(root, dhivehi):
    params = load_params(dhivehi.folder / "params.yaml")
    corpus = params.corpora["cv"]
    assert (corpus.source, corpus.locale) == ("archive", "dv")
    assert corpus.path == "../../corpora/cv-corpus-1.0-dv.tar.gz" and len(corpus.sha256) == 64
    assert params.model.language == "sinhala" and params.pretrained.name == str(MODEL)
    sample = load_params(REPOSITORY / "sample/params.yaml")
    assert params.pretrained.revision == sample.pretrained.revision  # of a folder, the sha256 of its weights
    few = {"max_steps": 100, "warmup_steps": 10, "eval_steps": 100, "save_steps": 100}
    assert params.train == load_params(REPOSITORY / "params.yaml").train.model_copy(update=few)


def test_what_was_found_is_printed_and_kept(dhivehi):
    assert (dhivehi.folder / "README.md").read_text() == dhivehi.output
    for found in (
        "# Dhivehi (dv)", "1. `sinhala` (Sinhala)", "dv.tar.gz, sentences: 5.", " ids a word, ",
        "`wer_whisper_basic` drops", "`model.audio_window_s` is 3; 1 fits", "1 recording of cv in no row",
        "    cd recipes/dv\n    dvc repro filter",
    ):  # fmt: skip
        assert found in dhivehi.output


def test_nothing_that_is_there_is_overwritten(root, dhivehi):
    before = {file: file.read_bytes() for file in dhivehi.folder.iterdir() if file.is_file()}
    done = typed(root, "dv", "--language", "hindi")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "recipes/dv exists: give another --out" in done.stderr
    assert {file: file.read_bytes() for file in before} == before


def test_the_recipe_runs(root, dhivehi):
    repository = Repository(root)
    repository.folder = dhivehi.folder
    assert repository.repro("filter") == ["download@cv", "featurize@cv", "filter", "pretrained"]
    assert '"ids_per_word"' in (dhivehi.folder / "metrics/filter.json").read_text()
    untracked = repository.run("git", "status", "--porcelain", "--untracked-files=all")
    assert not [line for line in untracked.splitlines() if "/data/" in line or "corpora/cv" in line]


def test_a_language_without_a_corpus_yet(root, run, tmp_path):
    text = tmp_path / "sorani.txt"
    text.write_text("هەموو مرۆڤێک ئازاد\n\nو یەکسان دێتە دنیاوە\n", encoding="utf-8")
    args = ["--text", str(text), "--size", "base", "--tokenizer", str(MODEL), "--out", "sorani"]
    output = run("ckb", *args)
    params = load_params(root / "sorani/params.yaml")
    corpus = params.corpora["cv"]
    assert corpus.path == "../corpora/cv-corpus-ckb.tar.gz" and corpus.sha256 is None
    assert (params.pretrained.name, params.pretrained.revision) == ("openai/whisper-base", None)
    assert params.train.learning_rate == RATES[512] != load_params(root / "params.yaml").train.learning_rate
    assert params.model.language == "persian"
    assert f"Checked on {text}, sentences: 2." in output and "Set `corpora.cv.path` in params.yaml" in output
    assert "`pretrained.revision` is null" in output


def test_the_data_collective_and_a_token_of_ones_own(root, run):
    output = run("tig", "--mdc", "some-id", "--language", "am", "--tokenizer", str(MODEL))
    params = load_params(root / "recipes/tig/params.yaml")
    corpus = params.corpora["cv"]
    assert (corpus.source, corpus.dataset, corpus.path) == ("mdc", "some-id", "../../corpora/README.md")
    assert params.model.language == "amharic"
    assert params.pretrained == load_params(root / "params.yaml").pretrained  # the same checkpoint, pinned
    assert "Not checked: there is no text." in output


def test_a_folder_becomes_a_recipe_that_runs_without_the_root_s_local_edits(root, run, caplog):
    rows = [(f"s{i % 5}", f"{i}.flac", f"kelime {'abcdefghij'[i]}") for i in range(10)]
    unpack(root, [
        ("corpora/qab/Metadata.csv", tsv(*rows, header=("Speaker", "File", "Text")).replace(b"\t", b";")),
        *((f"corpora/qab/{file}", tone(0.5, 200 + 20 * i)) for i, (_, file, _) in enumerate(rows)),
    ])  # fmt: skip
    subprocess.run(["git", "add", "."], cwd=root, env=ENVIRONMENT, check=True)
    subprocess.run(["git", "commit", "-qm", "."], cwd=root, env=ENVIRONMENT, check=True)
    files = {name: (root / name).read_text() for name in ("params.yaml", "dvc.yaml")}
    (root / "params.yaml").write_text(files["params.yaml"].replace("  seed: 42", "  seed: 7"))
    (root / "dvc.yaml").write_text("# mine\n")
    with caplog.at_level("INFO", "asr"):
        output = run("qab", "--folder", "corpora/qab", "--model", str(MODEL))
    for name, text in files.items():
        (root / name).write_text(text)
    params = load_params(root / "recipes/qab/params.yaml")
    mine = params.corpora["mine"]
    assert (mine.source, mine.path, mine.locale, mine.use) == ("folder", "../../corpora/qab", "qab", "both")
    assert params.train.seed == 42 and "code: ../.." in (root / "recipes/qab/dvc.yaml").read_text()
    for found in (
        "audio is 'File'",
        "| mine ",
        "the checkpoint is chosen on",
        "    cd recipes/qab\n    dvc repro filter",
    ):
        assert found in output
    repository = Repository(root)
    repository.folder = root / "recipes/qab"
    assert repository.repro("download@mine") == ["download@mine"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["kurdish_sorani"], "'kurdish_sorani' is not spelt as Common Voice does"),
        (["ckb", "--language", "sorani"], "--language: Whisper does not know 'sorani'"),
        (["ckb", "--archive", "absent.tar.gz"], "absent.tar.gz"),
        (["ckb", "--archive", "corpora/cv-corpus-1.0-dv.tar.gz"], "in a folder 'ckb'.*it has dv"),
        (["ckb", "--folder", "absent"], "no file or folder .*absent"),
        (["ckb", "--folder", "asr"], "no table and no annotations in"),
        (["xx"], "ISO 639 has no language 'xx'"),
        (["ckb", "--text", "absent.txt"], "absent.txt"),
        (["ckb", "--tokenizer", "absent"], "--tokenizer: no folder"),
        (["ckb", "--tokenizer", str(MODEL), "--out", "/tmp/elsewhere/ckb"], "is not inside"),
        (["yue", "--tokenizer", str(MODEL), "--language", "cantonese"], "has no token for cantonese"),
    ],
)
def test_mistakes_are_said_and_leave_nothing(root, run, args, message):
    with pytest.raises((OSError, ValueError), match=message):
        run(*args)
    assert not (root / "recipes" / args[0]).exists()


def test_a_text_has_to_have_lines(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfone\n\n two \n")
    assert read_lines(tmp_path / "text") == ["one", "two"]
    for data, message in ((b" \n", "is empty"), (b"\xff", "not UTF-8")):
        (tmp_path / "text").write_bytes(data)
        with pytest.raises(ValueError, match=message):
            read_lines(tmp_path / "text")


def test_a_checkpoint_s_own_configuration_says_its_size(run, root, tmp_path):
    own = tmp_path / "whisper-tiny"
    shutil.copytree(MODEL, own)
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"d_model": 1024}))
    run("gn", "--model", str(own))
    assert load_params(root / "recipes/gn/params.yaml").train.learning_rate == RATES[1024]


@pytest.mark.parametrize(
    ("n_clips", "steps"),
    [(10, 100), (100, 100), (101, 110), (474, 480), (490, 490), (491, None), (2_677, None)],
)
def test_few_clips_are_heard_16_times_or_for_100_steps(n_clips, steps):
    train = load_params(REPOSITORY / "params.yaml").train.model_dump()
    changes = {key: value for key, (value, _) in proposal.shorter(n_clips, train).items()}
    every = {"train.max_steps": steps, "train.eval_steps": steps, "train.save_steps": steps}
    assert changes == ({**every, "train.warmup_steps": steps // 10} if steps else {})
    if steps and steps > 100:
        assert n_clips <= steps < n_clips + 10  # in batches of 16


def test_the_root_s_recipe_has_the_rate_of_its_size():
    assert load_params(REPOSITORY / "params.yaml").train.learning_rate == RATES[768]


def test_a_release_is_found_if_there_is_no_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "CODE", tmp_path)
    assert find_archive("ti") is None
    (tmp_path / "corpora").mkdir()
    for name in ("cv-corpus-20-ti", "cv-corpus-20-tig", "notes-ti"):
        (tmp_path / f"corpora/{name}.tar.gz").touch()
    (tmp_path / "corpora/cv-corpus-21-ti.tar.gz.part").touch()  # on its way
    assert find_archive("ti") == tmp_path / "corpora/cv-corpus-20-ti.tar.gz"
    (tmp_path / "corpora/cv-corpus-21-ti.zip").touch()
    assert find_archive("ti") is None


def test_the_hub_gives_tokenizer_and_commit(online):
    hub = Hub({name: (MODEL / name).read_bytes() for name in ("tokenizer.json", "model.safetensors")})
    online(hub)
    files, commit = find_processor("owner/name", None, None)
    assert commit == COMMIT and [file.name for file in files.iterdir()] == ["tokenizer.json"]
    assert not [path for _, path, _ in hub.asked if "resolve" in path and "safetensors" in path]


@pytest.mark.parametrize(
    ("model", "first"),
    [("openai/whisper-small", "chinese"), ("openai/whisper-large-v3-turbo", "cantonese")],
)
def test_only_the_newest_checkpoint_knows_cantonese(model, first):
    assert NEWEST == "yue"
    assert usable(nearest("zh-HK"), model, None)[0].token == first


def test_a_code_that_nobody_knows_is_named(run, caplog):
    run("qaa", "--tokenizer", str(MODEL))
    assert "no relatives of qaa are known" in caplog.text
    caplog.clear()
    run("ckb", "--tokenizer", str(MODEL))
    assert "no relatives" not in caplog.text
