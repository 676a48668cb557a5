"""Several people on one recipe: a second clone, a merge, a remote that is damaged (docs/teams.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.provoke import flip
from tests.repositories import ENVIRONMENT, Repository
from tests.servers import unused_port

pytestmark = pytest.mark.slow


class Team:
    """A git remote and a DVC remote that hold a repository, and clones of it."""

    def __init__(self, repository: Repository, root: Path, url: str, **settings: str) -> None:
        self.root = root
        subprocess.run(["cp", "-a", repository.root, root / "first"], check=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", root / "origin"], check=True)
        first = Repository(root / "first")
        first.run("dvc", "remote", "add", "--default", "team", url)
        for name, value in settings.items():
            first.run("dvc", "remote", "modify", "team", name, value)
        first.commit()
        first.run("dvc", "push", "--run-cache")
        first.run("git", "remote", "add", "origin", str(root / "origin"))
        first.run("git", "push", "-q", "--set-upstream", "origin", "main")

    def clone(self, name: str) -> Repository:
        """Clone the repository, without any data."""
        subprocess.run(["git", "clone", "-q", self.root / "origin", self.root / name], check=True)
        return Repository(self.root / name)


@pytest.fixture
def s3(monkeypatch):
    """A server that plays S3, with a bucket; returns its address."""
    port = unused_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
        monkeypatch.setitem(ENVIRONMENT, name, "any")
    url = f"http://localhost:{port}"
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "--port", str(port)])
    try:
        import boto3

        retry = {"retries": {"total_max_attempts": 20, "mode": "standard"}}  # until it listens
        config = boto3.session.Config(**retry)
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config)
        client.create_bucket(Bucket="team")
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def team(repository, tmp_path):
    return Team(repository, tmp_path, str(tmp_path / "remote"))


def has_nothing_to_do(team):
    second = team.clone("second")
    second.run("dvc", "pull")
    assert "Data and pipelines are up to date." in second.run("dvc", "status")
    assert second.repro() == []
    assert second.run("git", "status", "--porcelain") == ""


def test_a_second_clone_has_nothing_to_do(team):
    has_nothing_to_do(team)


@pytest.mark.remote
def test_a_second_clone_has_nothing_to_do_on_s3(repository, tmp_path, s3):
    has_nothing_to_do(Team(repository, tmp_path, "s3://team/dvc", endpointurl=s3))


def test_the_run_cache_has_what_the_stages_without_metrics_gave(team):
    second = team.clone("second")
    (second.folder / "dvc.lock").unlink()  # as if nobody had committed it
    assert second.repro("--pull", "featurize") == []
    assert second.repro("--pull", "filter") == ["filter"]


def test_two_who_changed_different_parameters_merge(team):
    alice, bob = team.clone("alice"), team.clone("bob")
    for person, changes in ((alice, {"transcribe.max_new_tokens": 19}), (bob, {"evaluate.seed": 99})):
        person.run("dvc", "pull")
        person.set(changes)
        person.repro()
        person.commit()
        person.run("dvc", "push", "--run-cache")
    alice.run("git", "push", "-q")
    merge = bob.attempt("git", "pull", "--no-rebase")
    conflicts = bob.run("git", "diff", "--name-only", "--diff-filter=U").split()
    assert merge.returncode == 1 and "recipe/dvc.lock" in conflicts
    assert {Path(name).parts[1] for name in conflicts} <= {"dvc.lock", "metrics"}, merge.stdout
    bob.run("git", "checkout", "--theirs", *conflicts)
    assert bob.repro("--pull") == ["evaluate"]  # of both changes together; Alice's transcripts are taken
    bob.commit()
    bob.run("dvc", "push", "--run-cache")
    bob.run("git", "push", "-q")
    alice.run("git", "pull", "-q")
    alice.run("dvc", "pull")
    assert alice.repro() == []
    assert "Data and pipelines are up to date." in alice.run("dvc", "status")


def test_a_damaged_file_of_a_remote_is_refused_only_where_the_remote_is_verified(team):
    files = [path for path in (team.root / "remote/files").rglob("*") if path.is_file()]
    flip(max(files, key=lambda path: path.stat().st_size))
    trusting, careful = team.clone("trusting"), team.clone("careful")
    trusting.run("dvc", "pull")
    assert "Data and pipelines are up to date." in trusting.run("dvc", "status")
    careful.run("dvc", "remote", "modify", "team", "verify", "true")
    pull = careful.attempt("dvc", "pull")
    assert pull.returncode == 1 and "Checkout failed" in pull.stderr
