"""The check of DVC's cache: what it finds, and that it touches nothing else."""

import subprocess

import pytest

from tests.recipes import REPOSITORY
from tests.repositories import ENVIRONMENT


@pytest.fixture
def cache(tmp_path):
    """A DVC repository with a folder of two files in its cache."""
    (tmp_path / "clips").mkdir()
    for name in ("one", "two"):
        (tmp_path / "clips" / name).write_text(name)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "add", "-q", "clips"]):
        subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True)
    return tmp_path / ".dvc/cache/files/md5"


def verify(folder):
    done = subprocess.run(
        ["python", "-m", "stages.verify"],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def cached(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_a_whole_cache_is_said_to_be_whole(cache):
    files = cached(cache)
    assert len(files) == 3
    code, said = verify(cache.parents[3])
    assert code == 0 and said == f"verify: {cache} is whole\n"
    assert cached(cache) == files


def test_damaged_files_and_folders_are_removed_and_nothing_else(cache):
    folder, a_file, whole = sorted(cached(cache), key=lambda path: path.suffix, reverse=True)
    part = folder.with_name(".kpQ6.tmp")
    part.write_text("half of a file that DVC is copying")
    for path in (folder, a_file):
        path.chmod(0o644)
        path.write_text(path.read_text() + " ")
        path.chmod(0o444)
    code, said = verify(cache.parents[3])
    assert code == 1
    assert f"{folder} is damaged" in said and f"{a_file} is damaged" in said
    assert "2 damaged: `dvc repro` makes what is missing" in said
    assert cached(cache) == sorted([whole, part])


def test_outside_of_a_repository_it_says_so(tmp_path):
    code, said = verify(tmp_path)
    assert code == 1 and "Traceback" not in said and "not inside of a DVC repository" in said
