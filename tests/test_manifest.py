import pytest

from asr import manifest


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "checkpoint-2"
    (folder / "adapter").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "adapter/weights"):
        (folder / name).write_bytes(name.encode() * 1000)
    manifest.write(folder)
    return folder


def test_what_was_not_changed_is_whole(saved):
    assert manifest.damage(saved) is None
    (saved / "more").write_text("not listed, not looked at")
    assert manifest.damage(saved) is None


@pytest.mark.parametrize("name", ["model.safetensors", "adapter/weights"])
def test_damage_is_found_and_named(saved, name):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[:-1])
    assert manifest.damage(saved) == f"{name} has {len(content) - 1} bytes, not {len(content)}"
    (saved / name).write_bytes(content[:-1] + b"x")
    assert manifest.damage(saved) == f"{name} has another checksum than when it was written"
    (saved / name).unlink()
    assert manifest.damage(saved) == f"{name} is missing"


def test_without_a_list_or_with_half_of_one_nothing_is_whole(saved):
    content = (saved / "whole").read_text()
    (saved / "whole").write_text(content[: len(content) // 2])
    assert "cannot be read" in manifest.damage(saved)
    (saved / "whole").unlink()
    assert manifest.damage(saved) == "whole is missing"


def test_what_is_dropped_is_not_missed(saved):
    manifest.drop(saved, ["optimizer.pt", "was_never_there"])
    assert not (saved / "optimizer.pt").exists()
    assert manifest.damage(saved) is None
