"""`asr export` with made-up formats; tests/test_export_formats.py has the real ones."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from asr.commands.export import check, cli, conversion


@pytest.fixture
def formats(finished, tmp_path, monkeypatch):
    """A recipe's folder, and a dictionary: what each format hears, None for what the original hears."""
    (tmp_path / "data").symlink_to(finished.folder / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "FORMATS", ("good", "bad"))
    heard = {"good": None, "bad": "x " * 99}

    def convert(model, out, language, task, padding):
        assert (language, task) == ("sinhalese", "transcribe")
        out.mkdir()
        (out / "padding").write_text(padding)
        (out / "weights").write_text(f"{out.name} hears {heard[out.name.removesuffix('.part')]}")

    def load(folder):
        fixed = heard[folder.name.removesuffix(".part")]
        model = check.original(
            Path("data/model"), "sinhalese", "transcribe", (folder / "padding").read_text()
        )
        return (lambda samples: model(samples) if fixed is None else fixed), "float32"

    monkeypatch.setattr(conversion, "converters", lambda: dict.fromkeys(("good", "bad"), (convert, load)))
    return heard


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*args):
        cli.main([*args])
        return capsys.readouterr().out

    return run


def record(name):
    return json.loads(Path(f"exports/{name}/verified.json").read_text())


def test_what_hears_as_well_gets_its_place_and_a_line_in_the_table(formats, run):
    printed = run("good", "--limit", "2")
    found = record("good")
    assert found["measured"]["wer"] == found["original"]["wer"] > 0
    assert found["measured"]["clips"] == 2 and not found["worse"]
    assert sorted(path.name for path in Path("exports").iterdir()) == [".lock", "good", "table.md"]
    head, _, before, after = Path("exports/table.md").read_text().splitlines()
    assert printed.splitlines() == [head, _, before, after]
    cells = [cell.strip() for cell in after.strip("|").split("|")]
    wer = f"{found['original']['wer']:.2f} %"
    assert cells[0] == "good" and cells[2:4] == [wer, "+0.00"] and before.split("|")[3].strip() == wer


def test_clips_are_padded_as_the_model_says_or_as_is_asked(formats, run):
    run("good", "--limit", "1")
    assert Path("exports/good/padding").read_text() == "max_length"
    run("good", "--limit", "1", "--padding", "longest")
    assert Path("exports/good/padding").read_text() == "longest"
    shutil.copytree("data/model", "own")
    config = json.loads(Path("own/config.json").read_text())
    Path("own/config.json").write_text(json.dumps(config | {"padding": "longest"}))
    run("good", "--limit", "1", "--model", "own")
    assert Path("exports/good/padding").read_text() == "longest"


def test_what_hears_worse_is_refused_and_the_others_are_made(formats, run):
    with pytest.raises(ValueError, match=r"^not kept: bad. WER .* 0.5 points .* format, or --force$"):
        run("--limit", "2")
    assert record("good") and not list(Path("exports").glob("bad*"))
    assert "bad" not in Path("exports/table.md").read_text()
    with pytest.raises(ValueError, match="^not kept: bad.* format, --padding max_length, or --force$"):
        run("--limit", "2", "--padding", "longest")


def test_a_refusal_leaves_what_was_exported_before(formats, run):
    formats["bad"] = None
    run("bad", "--limit", "1")
    made = Path("exports/bad/weights").read_text(), Path("exports/table.md").read_text()
    formats["bad"] = "x " * 99
    with pytest.raises(ValueError, match="Earlier exports are unchanged"):
        run("bad", "--limit", "1")
    assert (Path("exports/bad/weights").read_text(), Path("exports/table.md").read_text()) == made
    assert not list(Path("exports").glob("*.part"))


def test_a_crash_leaves_what_was_exported_before(formats, run, monkeypatch):
    run("good", "--limit", "1")
    made = Path("exports/good/weights").read_text()
    monkeypatch.setattr(conversion, "measure", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("good", "--limit", "1")
    assert Path("exports/good/weights").read_text() == made


def test_force_keeps_what_is_worse_and_says_so(formats, run):
    assert "bad (worse)" in run("bad", "--limit", "1", "--force")
    assert record("bad")["worse"] and "bad (worse)" in Path("exports/table.md").read_text()


@pytest.mark.parametrize(("points", "kept"), [(-9, True), (0.5, True), (0.51, False)])
def test_half_a_point_is_allowed(formats, run, monkeypatch, points, kept):
    def measure(name, *args):
        wer = 10.0 if name == "original" else 10.0 + points
        return check.Measured(name, 1.0, wer, 5.0, 0.1, 1, "float32")

    monkeypatch.setattr(conversion, "measure", measure)
    if kept:
        run("good")
    else:
        with pytest.raises(ValueError, match="0.5 points"):
            run("good")
    assert Path("exports/good").exists() == kept


def test_the_table_has_the_formats_of_this_model_only(formats, run, caplog):
    formats["bad"] = None
    run("bad", "--limit", "1")
    file = Path("exports/bad/verified.json")
    run("good", "--limit", "1")
    assert "bad" in Path("exports/table.md").read_text()
    file.write_text(json.dumps(record("bad") | {"model": "another"}))
    run("good", "--limit", "1")
    assert "bad" not in Path("exports/table.md").read_text()
    assert "exports/bad is an export of another model than data/model: export it again" in caplog.text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["good", "other"], "no format other: there are good, bad"),
        (["--limit", "0"], "argument --limit: '0': expected a whole number, 1 or more"),
        (["--model", "data/pretrained"], "give --language"),
    ],
)
def test_what_is_asked_for_in_vain(formats, run, args, message, capsys):
    with pytest.raises((ValueError, FileNotFoundError, SystemExit)) as error:
        run(*args)
    assert message in f"{error.value} {capsys.readouterr().err}"
    assert not Path("exports").exists()


def test_packages_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.delitem(sys.modules, "asr.commands.export.ctranslate2", raising=False)
    monkeypatch.delattr("asr.commands.export.ctranslate2", raising=False)
    with pytest.raises(ValueError, match=r"ctranslate2 is not installed: pip install .*\[export\]"):
        conversion.converters()
