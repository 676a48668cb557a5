import pyarrow as pa
import pytest

from asr.tables import shards
from asr.tables.shards import read_columns, read_shards, write_shards

FEATURES = pa.schema({"id": pa.string(), "audio": pa.binary()})


def rows(n):
    return [{"id": f"{i}", "audio": bytes([i % 256]) * 100} for i in range(n)]


def test_rows_come_back_in_order_from_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 5_000)
    assert write_shards(tmp_path / "out", iter(rows(200)), FEATURES) == 200
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "00000.arrow", "00001.arrow", "00002.arrow", "00003.arrow"
    ]  # fmt: skip
    assert read_shards(tmp_path / "out").to_list() == rows(200)
    assert read_columns(tmp_path / "out", ["id"]).to_pydict() == {"id": [f"{i}" for i in range(200)]}


def test_equal_rows_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_shards(tmp_path / name, rows(100), FEATURES)
    one, two = ((tmp_path / name / "00000.arrow").read_bytes() for name in ("one", "two"))
    assert one == two


def test_rows_that_break_off_are_not_taken_for_a_whole(tmp_path):
    def broken():
        yield from rows(100)
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="network is gone"):
        write_shards(tmp_path / "out", broken(), FEATURES)
    assert not (tmp_path / "out").exists()
    write_shards(tmp_path / "out", rows(3), FEATURES)
    assert read_shards(tmp_path / "out").to_list() == rows(3)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_shorter_table_replaces_a_longer_one(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 5_000)
    write_shards(tmp_path / "out", rows(200), FEATURES)
    write_shards(tmp_path / "out", rows(2), FEATURES)
    assert read_shards(tmp_path / "out").to_list() == rows(2)


def test_no_rows_are_an_error_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        write_shards(tmp_path / "out", [], FEATURES)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc repro"):
        read_shards(tmp_path / "none")
